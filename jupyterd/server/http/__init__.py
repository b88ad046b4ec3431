"""Connections: sockets, TLS, deadlines and bounds, before Jupyter sees a request."""
