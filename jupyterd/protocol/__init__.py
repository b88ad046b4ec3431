"""The messages between our processes: plain frozen records and their JSON, nothing else.

The lowest floor: standard library only, no behaviour. Both ends of every pipe import the same file from here.
"""
