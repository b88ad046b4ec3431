"""What our processes say to each other: plain frozen records, their JSON, nothing else.

The lowest floor: standard library only, no behaviour. Both ends of every pipe import the same file from here.
"""
