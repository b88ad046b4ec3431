"""The GPU sampler, a process of its own, and what the planner needs to know about it.

The only importer of pynvml, and only in nvml.py: a driver that hangs hangs this process alone.
"""
