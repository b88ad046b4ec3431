"""The wall clock's offset from monotonic time, which turns monotonic times into dates. Read again each time."""

from __future__ import annotations

import time

from jupyterd.core.events import WallClock


def read() -> WallClock:
    """The current offset of the wall clock from monotonic time, and of local time from UTC."""
    return WallClock(time.time() - time.monotonic(), time.localtime().tm_gmtoff)
