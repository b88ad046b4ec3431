"""Terminals: a shell in its own unit, and the pseudo-terminal that the server holds."""
