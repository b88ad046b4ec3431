"""Keeps the cursor of one tab: the last message that its browser has acknowledged, in a file that outlives this server.

A websocket ping (RFC 6455, 5.5.2) follows what is written; every browser answers it by itself, in order, so a pong
acknowledges all that was written before its ping. Knows no kernel and no Jupyter.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

from tornado.websocket import WebSocketClosedError

from jupyterd.protocol import spool
from jupyterd.protocol.cursors import Cursor, CursorTable
from jupyterd.server.channels import spool_reader

_PING_EVERY_S = 0.005
"""Shortest time between two pings; none is sent while nothing is written."""
_PING = b"jupyterd"


class Acknowledgements:
    """Owns the kernel's cursor table while the tab is connected."""

    def __init__(
        self,
        directory: Path,
        session: str,
        connected: frozenset[str],
        websocket: Any,  # noqa: ANN401 - a WebSocketHandler, whose method is replaced
        begin: Cursor | None = None,
    ) -> None:
        """`directory` is the kernel's spool, `connected`: sessions that keep their slots. OSError, ValueError: there
        is no slot for this tab. A tab without a cursor begins behind all that is in the spool. Hears the pongs of
        `websocket` from now on, beside those who heard them before: Jupyter closes one whose pongs it does not hear.
        `begin`: where the tab begins, whatever its cursor is.
        """
        table = CursorTable(directory / spool.MARKS)
        try:
            self._slot, found = table.claim(session, time.time(), connected)
            self.begin = begin or found or spool_reader.end(directory)
            table.put(self._slot, self.begin)
        except (OSError, ValueError):
            table.close()
            raise
        self._table: CursorTable | None = table
        self._websocket, self._others_pong = websocket, websocket.on_pong
        websocket.on_pong = self.pong
        self._sent = b""
        self.replied = self.begin.replied
        """spool.tag of the last request whose execute_reply was written."""
        self._pinged: tuple[bytes, bytes] | None = None
        """(header, replied) that the ping under way acknowledges."""

    @property
    def sent(self) -> Cursor:
        """The last message that was written to the websocket."""
        return Cursor(spool.digest(self._sent), spool.date(self._sent)) if self._sent else self.begin

    @property
    def awaits_pong(self) -> bool:
        """Whether a ping has not been answered yet."""
        return self._pinged is not None

    def note(self, header: bytes) -> None:
        """A message with this header (a frame, JSON) was written."""
        self._sent = header
        self._ping()

    def pong(self, data: bytes) -> None:
        """Tornado's WebSocketHandler.on_pong: the browser has all that was written before that ping."""
        self._others_pong(data)
        if data != _PING or self._pinged is None or self._table is None:
            return
        header, replied = self._pinged
        self._pinged = None
        with contextlib.suppress(OSError):  # a full disk: the tab is shown more than it needs when it comes back
            self._table.put(self._slot, Cursor(spool.digest(header), spool.date(header), replied))
        if (self._sent, self.replied) != (header, replied):
            asyncio.get_running_loop().call_later(_PING_EVERY_S, self._ping)

    def leave(self, *, held: bool, gone: bool) -> None:
        """The websocket is closed; `held` and `gone` as in CursorTable.leave."""
        if self._table is not None:
            with contextlib.suppress(OSError):
                self._table.leave(self._slot, time.time(), held=held, gone=gone)
            self.close()

    def close(self) -> None:
        """Write no more: another server has the tab."""
        if self._table is not None:
            self._table.close()
            self._table = None
            del self._websocket.on_pong

    def _ping(self) -> None:
        if self._table is not None and self._pinged is None:
            self._pinged = (self._sent, self.replied)
            with contextlib.suppress(WebSocketClosedError):
                self._websocket.ping(_PING)
