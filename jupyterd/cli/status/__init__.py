"""`jupyterd status`: the status document read without trust, and its page."""
