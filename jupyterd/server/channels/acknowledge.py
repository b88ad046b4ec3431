"""How far one tab's browser has come. Behind what is sent goes a websocket ping, which every browser answers by itself:
what lies before an answered one has arrived, and is the mark, which outlives this server.

Knows no kernel and no Jupyter.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from jupyterd.protocol import spool
from jupyterd.protocol.cursors import Cursor, CursorTable
from jupyterd.server.channels import spool_reader

_PING_EVERY_S = 0.005
"""At most so often; while nothing comes, never."""
_PING = b"jupyterd"


class Arrival:
    """Owns the kernel's table of marks as long as the tab is connected."""

    def __init__(
        self, directory: Path, session: str, connected: frozenset[str], ping: Callable[[bytes], object]
    ) -> None:
        """`directory` is the kernel's spool. OSError, ValueError where there is no place in the table."""
        table = CursorTable(directory / spool.MARKS)
        try:
            self._slot, found = table.claim(session, time.time(), connected)
            self.begin = spool_reader.end(directory) if found is None else found
            table.put(self._slot, self.begin)
        except ValueError:
            table.close()
            raise
        self._table: CursorTable | None = table
        self._send_ping = ping
        self._sent = b""
        self.replied = self.begin.replied
        """Tag of the last request whose execute_reply was sent."""
        self._pinged: tuple[bytes, bytes] | None = None
        """What the ping under way stands for."""

    @property
    def sent(self) -> Cursor:
        """The last message that was sent."""
        return Cursor(spool.digest(self._sent), spool.date(self._sent)) if self._sent else self.begin

    @property
    def awaited(self) -> bool:
        """Whether a ping is under way."""
        return self._pinged is not None

    def note(self, header: bytes) -> None:
        """A message with this header was sent."""
        self._sent = header
        self._ping()

    def pong(self, data: bytes) -> None:
        """Everything before that ping is in the browser."""
        if data != _PING or self._pinged is None or self._table is None:
            return
        header, replied = self._pinged
        self._pinged = None
        self._table.put(self._slot, Cursor(spool.digest(header), spool.date(header), replied))
        if (self._sent, self.replied) != (header, replied):
            asyncio.get_running_loop().call_later(_PING_EVERY_S, self._ping)

    def leave(self, *, held: bool) -> None:
        """The tab is away; `held` as in CursorTable.leave."""
        if self._table is not None:
            self._table.leave(self._slot, time.time(), held=held)
            self._table.close()
            self._table = None

    def _ping(self) -> None:
        if self._table is not None and self._pinged is None:
            self._pinged = (self._sent, self.replied)
            self._send_ping(_PING)
