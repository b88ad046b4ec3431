"""Dates in this machine's own time zone, in the forms of text.py."""

from __future__ import annotations

import time

from jupyterd import text


def utc_offset_s(unix_s: float) -> int:
    """Seconds east of UTC at that moment."""
    return time.localtime(unix_s).tm_gmtoff


def moment(unix_s: float) -> str:
    """A date and time, "Sun 2026-11-22 19:05"."""
    return text.moment(unix_s, utc_offset_s(unix_s))


def day(unix_s: float) -> str:
    """A date, "2026-11-22"."""
    return text.day(unix_s, utc_offset_s(unix_s))
