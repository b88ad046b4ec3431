"""Closes websockets whose login has ended (another password, a logout): otherwise they outlive it by days."""

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
    """The open websockets of a server. Runs a timer while there are any; `in_force` tells whether a generation of the
    password and a login still are.
    """

    def __init__(self, in_force: Callable[[str, str], bool]) -> None:
        self._in_force = in_force
        self._open: WeakKeyDictionary[websocket.WebSocketHandler, tuple[str, str]] = WeakKeyDictionary()
        self._timer = PeriodicCallback(self._look, LOOK_EVERY_MS)

    def add(self, handler: websocket.WebSocketHandler, generation: str, login: str) -> None:
        """Track a websocket that is about to open for a login."""
        self._open[handler] = (generation, login)
        if not self._timer.is_running():
            self._timer.start()

    def close_ended(self) -> int:
        """Close the websockets whose login has ended. Returns how many."""
        ended = [
            handler
            for handler, of in self._open.items()
            if handler.ws_connection is not None and not self._in_force(*of)
        ]
        for handler in ended:
            del self._open[handler]
            _close(handler)
        return len(ended)

    def _look(self) -> None:
        self.close_ended()  # those too that were about to open when it ended
        # A handler that has opened is "finished" as well: no HTTP is to come.
        over = [each for each in self._open if each.ws_connection is None and each._finished]  # noqa: SLF001
        for handler in over:
            del self._open[handler]
        if not self._open:
            self._timer.stop()


def _close(handler: websocket.WebSocketHandler) -> None:
    connection = handler.ws_connection
    handler.close(POLICY, "the login has ended")
    # Without waiting for the peer's close frame: until then tornado would pass on its messages.
    stream = getattr(connection, "stream", None)
    if stream is not None:
        stream.close()
