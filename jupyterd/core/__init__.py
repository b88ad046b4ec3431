"""Decisions, pure: `step(world, event, now, jitter) -> (world, effects)`. See words.py first.

Two rules. Every transition lives here. Nothing here knows a clock, an operating system or chance.
"""
