"""`jupyterd cert`: make, get, install and show the certificate."""
