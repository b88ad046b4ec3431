"""Limits log lines that anybody on the network can cause: 60 a minute of a kind; the rest are counted in one line."""

from __future__ import annotations

import time
from collections.abc import Callable

LINES = 60
BOUNDED = {"bounded": True}
"""`extra` of a log record that has a limit of its own: it is always shown, whoever caused it."""
PERIOD_S = 60.0


class LogLimit:
    """`tell` gets "N more <what> in the last ... s", at the first line of the next period."""

    def __init__(
        self, tell: Callable[[str], None], what: str, lines: int = LINES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tell, self._what, self._lines, self._clock = tell, what, lines, clock
        self._began = clock()
        self._taken = self._missed = 0

    def take(self) -> bool:
        """Whether one more line may be logged now."""
        now = self._clock()
        if (past := now - self._began) >= PERIOD_S:
            missed, self._missed, self._taken, self._began = self._missed, 0, 0, now
            if missed:
                self._tell(f"{missed} more {self._what} in the last {past:.0f} s")
        if self._taken < self._lines:
            self._taken += 1
            return True
        self._missed += 1
        return False
