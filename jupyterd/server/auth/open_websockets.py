"""Closes websockets that were opened under another password than the one in force: they outlive their login by days."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

from tornado import websocket
from tornado.ioloop import PeriodicCallback

LOOK_EVERY_MS = 1000
"""Seconds between checks while a websocket is open: another process may have set the password."""
POLICY = 1008
"""The close code for a policy violation (RFC 6455, 7.4.1)."""


class OpenWebsockets:
    """The open websockets of a server. Runs a timer while there are any; `mark` returns the password's generation."""

    def __init__(self, mark: Callable[[], str]) -> None:
        self._open: WeakKeyDictionary[websocket.WebSocketHandler, str] = WeakKeyDictionary()
        self._timer = PeriodicCallback(lambda: self._look(mark()), LOOK_EVERY_MS)

    def add(self, handler: websocket.WebSocketHandler, mark: str) -> None:
        """Track a websocket that is about to open for a login of generation `mark`."""
        self._open[handler] = mark
        if not self._timer.is_running():
            self._timer.start()

    def close_others(self, mark: str) -> int:
        """Close the websockets of other generations than `mark`. Returns how many."""
        others = [handler for handler, own in self._open.items() if own != mark and handler.ws_connection is not None]
        for handler in others:
            del self._open[handler]
            _close(handler)
        return len(others)

    def _look(self, mark: str) -> None:
        self.close_others(mark)  # those too that were about to open when it changed
        # A handler that has opened is "finished" as well: no HTTP is to come.
        over = [each for each in self._open if each.ws_connection is None and each._finished]  # noqa: SLF001
        for handler in over:
            del self._open[handler]
        if not self._open:
            self._timer.stop()


def _close(handler: websocket.WebSocketHandler) -> None:
    connection = handler.ws_connection
    handler.close(POLICY, "the password was changed")
    # Without waiting for the peer's close frame: until then tornado would pass on its messages.
    stream = getattr(connection, "stream", None)
    if stream is not None:
        stream.close()
