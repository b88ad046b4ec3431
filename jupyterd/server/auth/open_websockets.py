"""Closes websockets that were opened under another password than the one in force: they outlive their login by days."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

from tornado import websocket
from tornado.ioloop import PeriodicCallback

LOOK_EVERY_MS = 1000
"""While a websocket is open: another process may have set the password. Without one, each request looks anyway."""
POLICY = 1008
"""RFC 6455, 7.4.1."""


class OpenWebsockets:
    """Of one server. Runs a timer while a websocket is open; `mark` gives the generation of the password in force."""

    def __init__(self, mark: Callable[[], str]) -> None:
        self._open: WeakKeyDictionary[websocket.WebSocketHandler, str] = WeakKeyDictionary()
        self._timer = PeriodicCallback(lambda: self._look(mark()), LOOK_EVERY_MS)

    def add(self, handler: websocket.WebSocketHandler, mark: str) -> None:
        """A websocket is about to open for a login of generation `mark`."""
        self._open[handler] = mark
        if not self._timer.is_running():
            self._timer.start()

    def close_others(self, mark: str) -> int:
        """Close those of another generation. Returns how many."""
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
    # Without waiting for the other end's good-bye: until then tornado would hand on what it sends.
    stream = getattr(connection, "stream", None)
    if stream is not None:
        stream.close()
