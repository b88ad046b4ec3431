"""Every setting, once. schema.py is the only home of a setting; the sample file, help and tables come from it."""
