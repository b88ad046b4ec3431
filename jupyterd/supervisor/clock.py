"""The wall clock as a fact: what turns monotonic seconds into dates for people. Read afresh each time."""

from __future__ import annotations

import time

from jupyterd.core.words import Clock


def read() -> Clock:
    """As it is now."""
    return Clock(time.time() - time.monotonic(), time.localtime().tm_gmtoff)
