"""`jupyterd gpu`: who holds the GPUs now, and what they did."""
