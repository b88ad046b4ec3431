"""Key pairs: look at one that is given, make one that is not. Neighbour: inside/connections/tls.py serves them."""
