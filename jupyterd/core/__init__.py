"""Decisions, pure: `step(world, event, now, jitter) -> (world, effects)`. See world.py first.

Every transition is decided here, and nothing here reads a clock, calls the operating system or draws a random number.
"""
