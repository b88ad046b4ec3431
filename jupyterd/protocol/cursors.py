"""The cursors of a kernel's tabs: a small file that the server writes and the recorder reads.

A cursor is the last message that a tab's browser has acknowledged. Each write leaves the previous cursor intact, so a
server that is killed while it writes loses one step, never the cursor. The file is written and not mapped: where it was
cut, or its disk is full, a mapping would end the server (SIGBUS).
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Collection
from pathlib import Path

from jupyterd.linux import kept
from jupyterd.linux.kept import Tell
from jupyterd.protocol.value import value

SLOTS = 32
"""Tabs remembered for one kernel; beyond them the one that was away longest is forgotten."""
SESSION_MAX = 64
"""Bytes; a tab's session id is a uuid."""
_SIZE = 256
_WHO = struct.Struct("<BBd64s")
"""Used, held (one of the values below), when last seen (Unix seconds), session id."""
_HELD, _GONE = 1, 2
"""Its page may come back; it was closed, and what the kernel sends it is kept for a page that shows its cells."""
_CURSOR = struct.Struct("<Q16s32s8sI")
_BODY = struct.Struct("<Q16s32s8s")
_CURSOR_AT = (96, 176)
_MOST_COUNT = 1 << 62


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
    """Every tab in the file `path`; none where there is none, or it cannot be read."""
    try:
        return [each for each in _tabs(kept.read(path)) if each is not None]
    except (OSError, ValueError):
        return []


class CursorTable:
    """The file as the server holds it. Owns a descriptor."""

    def __init__(self, path: Path, tell: Tell = kept.say) -> None:
        """What is in the place of the file and is none is set aside and told. OSError."""
        self._path, self._tell = path, tell
        self._who: dict[int, bytes] = {}
        """The head of each slot that was claimed here, for a file that was cut or removed meanwhile."""
        self._fd = self._opened()

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def claim(self, session: str, now: float, connected: frozenset[str]) -> tuple[int, Cursor | None]:
        """The slot of this session id, and its cursor: None for a new tab. `now`: Unix seconds. If all slots are in
        use, the tab that was away longest and is not `connected` loses its slot. ValueError: no slot, or a session id
        that is too long. OSError, here and below: the disk does not take it.
        """
        name = session.encode()
        if not 0 < len(name) <= SESSION_MAX:
            raise ValueError("a session id of another length than this table's")
        every = _tabs(os.pread(self._fd, SLOTS * _SIZE, 0))
        for slot, tab in enumerate(every):
            if tab is not None and tab.session == session:
                self._who[slot] = _WHO.pack(1, 1, now, name)
                self._write(self._who[slot], slot)
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
        self._who[slot] = _WHO.pack(1, 1, now, name)
        self._write(self._who[slot].ljust(_SIZE, b"\0"), slot)
        return slot, None

    def put(self, slot: int, cursor: Cursor) -> None:
        """Write the cursor of the tab in `slot`."""
        if os.fstat(self._fd).st_nlink == 0:  # somebody has removed it: the recorder would look in vain
            os.close(self._fd)
            self._fd = self._opened()
        found = os.pread(self._fd, _SIZE, slot * _SIZE).ljust(_SIZE, b"\0")
        if found[: _WHO.size] != self._who[slot]:
            self._write(self._who[slot], slot)
        counts = [_counted(found, each)[0] for each in _CURSOR_AT]
        older = counts.index(min(counts))
        body = _BODY.pack(max(counts) + 1, cursor.digest, cursor.date, cursor.replied)
        self._write(body + struct.pack("<I", zlib.crc32(body)), slot, _CURSOR_AT[older])

    def leave(self, slot: int, now: float, *, held: bool, gone: bool = False) -> None:
        """The tab has disconnected at `now` (Unix seconds). `gone`: its page was closed. `held`: what the kernel sends
        it is kept all the same, until `release`.
        """
        kind = (_GONE if gone else _HELD) if held else 0
        self._write(_WHO.pack(1, kind, now, _WHO.unpack(self._who[slot])[3]), slot)

    def release(self, still: Collection[str]) -> list[str]:
        """See the function of this name."""
        found = []
        data = os.pread(self._fd, SLOTS * _SIZE, 0).ljust(SLOTS * _SIZE, b"\0")
        for slot, tab in enumerate(_tabs(data)):
            used, kind, seen, name = _WHO.unpack_from(data, slot * _SIZE)
            if tab is not None and kind == _GONE and tab.session not in still:
                self._write(_WHO.pack(used, 0, seen, name), slot)
                found.append(tab.session)
        return found

    def _opened(self) -> int:
        kept.directory(self._path.parent, self._tell)
        fd = kept.open_own(self._path, self._tell)
        try:
            os.ftruncate(fd, SLOTS * _SIZE)
        except OSError:
            os.close(fd)
            raise
        return fd

    def _write(self, data: bytes, slot: int, at: int = 0) -> None:
        os.pwrite(self._fd, data, slot * _SIZE + at)


def release(path: Path, still: Collection[str]) -> list[str]:
    """Keep nothing more for tabs whose page was closed, except for the sessions in `still`. Returns the session ids of
    the others. OSError.
    """
    table = CursorTable(path)
    try:
        return table.release(still)
    finally:
        table.close()


def _tabs(data: bytes) -> list[TabCursor | None]:
    """The tab in each slot, None for an empty or damaged one."""
    whole = data.ljust(SLOTS * _SIZE, b"\0")
    return [_tab(whole, slot * _SIZE) for slot in range(SLOTS)]


def _tab(data: bytes, at: int) -> TabCursor | None:
    used, held, seen, name = _WHO.unpack_from(data, at)
    try:
        session = name.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        return None
    if not used or not session.isprintable() or not session:
        return None
    latest = max((_counted(data, at + each) for each in _CURSOR_AT), key=lambda found: found[0])
    return TabCursor(session, bool(held), seen, latest[1])


def _counted(data: bytes, at: int) -> tuple[int, Cursor]:
    count, digest, date, replied, check = _CURSOR.unpack_from(data, at)
    if not 0 < count < _MOST_COUNT or zlib.crc32(data[at : at + _BODY.size]) != check:
        return 0, Cursor()
    return count, Cursor(digest, date.rstrip(b"\0"), replied)
