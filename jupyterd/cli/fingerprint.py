"""A certificate's fingerprint in the form that people compare: as browsers show it, in two lines."""

from __future__ import annotations

_LINE = 16
"""Bytes a line: 47 columns, two lines for SHA-256."""


def fingerprint(sha256: str) -> tuple[str, ...]:
    """As "AB:CD:...", in lines of 16 bytes from lower-case hex."""
    pairs = [sha256[at : at + 2].upper() for at in range(0, len(sha256), 2)]
    return tuple(":".join(pairs[at : at + _LINE]) for at in range(0, len(pairs), _LINE))
