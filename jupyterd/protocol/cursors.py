"""The cursors of a kernel's tabs: a small file that the server maps and the recorder reads.

A cursor is the last message that a tab's browser has acknowledged. Each write leaves the previous cursor intact, so a
server that is killed while it writes loses one step, never the cursor.
"""

from __future__ import annotations

import mmap
import os
import struct
import zlib
from pathlib import Path

from jupyterd.protocol.value import value

SLOTS = 32
"""Tabs remembered for one kernel; beyond them the one that was away longest is forgotten."""
SESSION_MAX = 64
"""Bytes; a tab's session id is a uuid."""
_SIZE = 256
_WHO = struct.Struct("<BBd64s")
"""Used, held, when last seen (Unix seconds), session id."""
_CURSOR = struct.Struct("<Q16s32s8sI")
_BODY = struct.Struct("<Q16s32s8s")
_CURSOR_AT = (96, 176)


@value
class Cursor:
    """spool.digest (16 bytes) and spool.date of the last message that the browser has, and spool.tag (8 bytes) of the
    last request whose execute_reply it has.
    """

    digest: bytes = bytes(16)
    date: bytes = b""
    replied: bytes = bytes(8)


@value
class TabCursor:
    """A tab's slot. `held`: what its browser does not have is kept for it."""

    session: str
    held: bool
    seen: float
    cursor: Cursor


def read(path: Path) -> list[TabCursor]:
    """Every tab in the file `path`."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    slots = range(min(len(data) // _SIZE, SLOTS))
    return [found for each in slots if (found := _tab(data, each * _SIZE)) is not None]


class CursorTable:
    """The file as the server holds it. Owns the mapping."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.ftruncate(descriptor, SLOTS * _SIZE)
            self._map = mmap.mmap(descriptor, SLOTS * _SIZE)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Close the mapping; the file stays."""
        self._map.close()

    def claim(self, session: str, now: float, connected: frozenset[str]) -> tuple[int, Cursor | None]:
        """The slot of this session id, and its cursor: None for a new tab. `now`: Unix seconds. If all slots are in
        use, the tab that was away longest and is not `connected` loses its slot. ValueError: no slot, or a session id
        that is too long.
        """
        name = session.encode()
        if not 0 < len(name) <= SESSION_MAX:
            raise ValueError("a session id of another length than this table's")
        every = [_tab(self._map, each * _SIZE) for each in range(SLOTS)]
        for slot, tab in enumerate(every):
            if tab is not None and tab.session == session:
                _WHO.pack_into(self._map, slot * _SIZE, 1, 1, now, name)
                return slot, tab.cursor
        free = [slot for slot, tab in enumerate(every) if tab is None]
        gone = sorted(
            (tab.held, tab.seen, slot)
            for slot, tab in enumerate(every)
            if tab is not None and tab.session not in connected
        )
        if not free and not gone:
            raise ValueError("more tabs than this table has places")
        slot = free[0] if free else gone[0][2]
        at = slot * _SIZE
        self._map[at : at + _SIZE] = bytes(_SIZE)
        _WHO.pack_into(self._map, at, 1, 1, now, name)
        return slot, None

    def put(self, slot: int, cursor: Cursor) -> None:
        """Write the cursor of the tab in `slot`."""
        counts = [_counted(self._map, slot * _SIZE + each)[0] for each in _CURSOR_AT]
        older = counts.index(min(counts))
        body = _BODY.pack(max(counts) + 1, cursor.digest, cursor.date, cursor.replied)
        at = slot * _SIZE + _CURSOR_AT[older]
        self._map[at : at + _CURSOR.size] = body + struct.pack("<I", zlib.crc32(body))

    def leave(self, slot: int, now: float, *, held: bool) -> None:
        """The tab has disconnected at `now` (Unix seconds). `held` False: its page was closed and is gone."""
        _, _, _, name = _WHO.unpack_from(self._map, slot * _SIZE)
        _WHO.pack_into(self._map, slot * _SIZE, 1, held, now, name)


def _tab(data: bytes | mmap.mmap, at: int) -> TabCursor | None:
    used, held, seen, name = _WHO.unpack_from(data, at)
    if not used:
        return None
    latest = max((_counted(data, at + each) for each in _CURSOR_AT), key=lambda found: found[0])
    return TabCursor(name.rstrip(b"\0").decode(errors="replace"), bool(held), seen, latest[1])


def _counted(data: bytes | mmap.mmap, at: int) -> tuple[int, Cursor]:
    count, digest, date, replied, check = _CURSOR.unpack_from(data, at)
    if count == 0 or zlib.crc32(bytes(data[at : at + _BODY.size])) != check:
        return 0, Cursor()
    return count, Cursor(digest, date.rstrip(b"\0"), replied)
