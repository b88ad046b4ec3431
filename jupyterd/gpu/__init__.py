"""The GPU sampler, a process of its own, and what the planner needs to know about it.

The only importer of pynvml, and only in nvml.py: whatever the driver does, it does it to this process.
"""
