"""The only place where the supervisor waits: for descriptors and timers, each with its callback.

It decides nothing and knows no kind of event.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count

from jupyterd.core.events import Event

Callback = Callable[[], Iterable[Event]]
"""Called when a descriptor is ready or a timer is due; returns the events that follow."""

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE


class Poller:
    """Owns the epoll descriptor. At most one Callback for each descriptor."""

    def __init__(self) -> None:
        self._selector = selectors.EpollSelector()
        self._timers: dict[int, tuple[float, Callback]] = {}
        self._numbers = count()

    def register(self, fd: int, mask: int, callback: Callback) -> None:
        """Call `callback` whenever `fd` is ready for `mask` (READ, WRITE or both); replaces an earlier registration."""
        if fd in self._selector.get_map():
            self._selector.modify(fd, mask, callback)
        else:
            self._selector.register(fd, mask, callback)

    def unregister(self, fd: int) -> None:
        """Stop watching a descriptor, before it is closed. One that is not watched is not an error."""
        if fd in self._selector.get_map():
            self._selector.unregister(fd)

    def call_at(self, when: float, callback: Callback) -> int:
        """Call `callback` once at monotonic `when`. Returns a number for cancel()."""
        number = next(self._numbers)
        self._timers[number] = (when, callback)
        return number

    def cancel(self, number: int) -> None:
        """Cancel a timer. One that has already run is not an error."""
        self._timers.pop(number, None)

    def deadline(self) -> float | None:
        """The monotonic time of the next timer; None without timers."""
        return min((when for when, _ in self._timers.values()), default=None)

    def wait(self, timeout_s: float | None) -> Iterator[Callback]:
        """Wait once, then yield the callbacks that are due, one by one.

        A callback that an earlier one of the same round has unregistered or replaced is left out: its descriptor's
        number may already belong to another file.
        """
        for key, _ in self._selector.select(timeout_s):
            if self._selector.get_map().get(key.fd) is key:
                yield key.data
        now = time.monotonic()
        for number in [number for number, (when, _) in self._timers.items() if when <= now]:
            if number in self._timers:
                yield self._timers.pop(number)[1]

    def close(self) -> None:
        """Close the epoll descriptor."""
        self._selector.close()
