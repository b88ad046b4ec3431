"""The wall clock as a fact: what turns monotonic seconds into dates for people. Read afresh each time."""

from __future__ import annotations

import time

from jupyterd.core.events import WallClock


def read() -> WallClock:
    """As it is now."""
    return WallClock(time.time() - time.monotonic(), time.localtime().tm_gmtoff)
