"""Key pairs: look at one that is given, make one that is not."""
