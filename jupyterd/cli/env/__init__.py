"""`jupyterd env`, one file for each thing it does."""
