"""A process of its own that always listens to the kernels' output, so that none is lost while no server does.

It knows the wire and pyzmq, nothing of Jupyter and nothing of the supervisor.
"""
