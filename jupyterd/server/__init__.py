"""The server process: Jupyter's server with jupyterd's parts, on sockets inherited from the supervisor."""
