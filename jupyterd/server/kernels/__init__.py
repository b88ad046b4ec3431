"""Kernels as Jupyter sees them: how they start, are adopted by the next server, and how their end is reported."""
