"""Notices that live output has piled up so far that the kernel may have dropped some of it.

A kernel drops a message when 1000 wait on its side of the connection (libzmq's high-water mark), and nobody is told.
All that were waiting arrive before the first one behind the gap.
"""

from __future__ import annotations

DOUBTFUL = 256
"""Messages with another one waiting behind them. A gap has at least 500 of them before it: libzmq takes messages again
when half of the 1000 are gone.
"""
_ALONE, _PAUSE_S = 64, 0.2
"""Nothing has piled up after so many messages in a row without another behind them, or when none was there for so long.
Not at the first: where the processor is busy, libzmq's thread hands over a few at a time.
"""


class Backlog:
    """Of one tab's connection to the kernel's output."""

    def __init__(self) -> None:
        self._waiting = self._alone = 0
        self._last = 0.0

    def note(self, *, more: bool, now: float) -> None:
        """A live message came at `now` (monotonic, seconds); `more`: another one is there already."""
        if self._alone and now - self._last > _PAUSE_S:
            self._waiting = 0
        self._last = now
        self._alone = 0 if more else self._alone + 1
        if more:
            self._waiting += 1
        elif self._alone >= _ALONE:
            self._waiting = 0

    @property
    def doubtful(self) -> bool:
        """Whether messages may be missing before the next one."""
        return self._waiting >= DOUBTFUL
