"""Starts and ends the long-lived processes that are nobody's child: kernels, terminals, the recorder, the GPU sampler.

Each is identified by pid, start time and boot id. The server and the verbs use this, the supervisor never does.
"""
