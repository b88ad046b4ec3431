"""Kernels as Jupyter sees them: how they start, are taken back, and are told of when they end."""
