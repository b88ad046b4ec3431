"""A certificate's fingerprint, written so that a person can compare it with what the browser shows."""

from __future__ import annotations

_BYTES_IN_A_LINE = 16


def fingerprint_lines(sha256: str) -> tuple[str, ...]:
    """Two lines of "AB:CD:...", 16 bytes each, from lower-case hex; ValueError if that is none."""
    pairs = [f"{byte:02X}" for byte in bytes.fromhex(sha256)]
    starts = range(0, len(pairs), _BYTES_IN_A_LINE)
    return tuple(":".join(pairs[start : start + _BYTES_IN_A_LINE]) for start in starts)
