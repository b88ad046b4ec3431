"""How far each tab has come: a small file for each kernel, mapped by the server and outliving it.

A mark is the last message that a tab's browser has acknowledged. Every write leaves the one before it intact, so that
a server killed in the middle of it loses one step, never the mark. The recorder reads.
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
_MARK = struct.Struct("<Q16s32s8sI")
_BODY = struct.Struct("<Q16s32s8s")
_MARK_AT = (96, 176)


@value
class Cursor:
    """`digest` and `date` of the last message that arrived there, and the tag of the last request answered."""

    digest: bytes = bytes(16)
    date: bytes = b""
    replied: bytes = bytes(8)


@value
class TabCursor:
    """`held`: what it has not seen is kept for it."""

    session: str
    held: bool
    seen: float
    mark: Cursor


def read(path: Path) -> list[TabCursor]:
    """Every tab on record."""
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
        """Let go of the mapping; the file stays."""
        self._map.close()

    def claim(self, session: str, now: float, connected: frozenset[str]) -> tuple[int, Cursor | None]:
        """A tab's slot, and where it stopped; None for a tab that was never here. ValueError: too long a name."""
        name = session.encode()
        if not 0 < len(name) <= SESSION_MAX:
            raise ValueError("a session id of another length than this table's")
        every = [_tab(self._map, each * _SIZE) for each in range(SLOTS)]
        for slot, tab in enumerate(every):
            if tab is not None and tab.session == session:
                _WHO.pack_into(self._map, slot * _SIZE, 1, 1, now, name)
                return slot, tab.mark
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

    def put(self, slot: int, mark: Cursor) -> None:
        """The tab has come so far."""
        counts = [_counted(self._map, slot * _SIZE + each)[0] for each in _MARK_AT]
        older = counts.index(min(counts))
        body = _BODY.pack(max(counts) + 1, mark.digest, mark.date, mark.replied)
        at = slot * _SIZE + _MARK_AT[older]
        self._map[at : at + _MARK.size] = body + struct.pack("<I", zlib.crc32(body))

    def leave(self, slot: int, now: float, *, held: bool) -> None:
        """The tab is away; `held` False: its page was closed and nobody will come back for the rest."""
        _, _, _, name = _WHO.unpack_from(self._map, slot * _SIZE)
        _WHO.pack_into(self._map, slot * _SIZE, 1, held, now, name)


def _tab(data: bytes | mmap.mmap, at: int) -> TabCursor | None:
    used, held, seen, name = _WHO.unpack_from(data, at)
    if not used:
        return None
    latest = max((_counted(data, at + each) for each in _MARK_AT), key=lambda found: found[0])
    return TabCursor(name.rstrip(b"\0").decode(errors="replace"), bool(held), seen, latest[1])


def _counted(data: bytes | mmap.mmap, at: int) -> tuple[int, Cursor]:
    count, digest, date, replied, check = _MARK.unpack_from(data, at)
    if count == 0 or zlib.crc32(bytes(data[at : at + _BODY.size])) != check:
        return 0, Cursor()
    return count, Cursor(digest, date.rstrip(b"\0"), replied)
