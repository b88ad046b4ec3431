"""The account's Python environments: which there are, what a kernel in each of them gets, and which is the default.

Knows nothing of Jupyter, and runs nothing of an environment that it only looks at.
"""
