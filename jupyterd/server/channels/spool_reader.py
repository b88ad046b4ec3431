"""Reads a kernel's spool from a tab's cursor on. Blocking: the event loop calls it in a thread."""

from __future__ import annotations

import os
from pathlib import Path

from jupyterd.linux import files, kept
from jupyterd.protocol import spool
from jupyterd.protocol.cursors import Cursor
from jupyterd.protocol.spool import Spooled

_CHUNK = 1 << 20


def end(directory: Path) -> Cursor:
    """The cursor of a tab that needs nothing of what is in the spool; Cursor() if that is empty."""
    for path in reversed(spool.files(directory)):
        last = None
        data = _bytes(path)
        for last in spool.heads(data):  # noqa: B007 - the last one is wanted
            pass
        if last is not None:
            found = spool.unpack(data, last[0])
            return Cursor(found.digest, spool.date(found.frames[1]))
    return Cursor()


def before(directory: Path, msg_id: str) -> Cursor | None:
    """The cursor before the first message that belongs to this request; None where there is none in the spool."""
    last: Cursor = Cursor()
    for path in spool.files(directory):
        data = _bytes(path)
        at = data.find(msg_id.encode())
        previous = None
        for offset, size in spool.heads(data):
            if 0 <= at < offset + size:
                break
            previous = offset
        if previous is not None:
            found = spool.unpack(data, previous)
            last = Cursor(found.digest, spool.date(found.frames[1]))
        if at >= 0:
            return last
    return None


class SpoolReader:
    """All records behind a cursor, in order, also those that are written meanwhile. Owns one descriptor at a time."""

    def __init__(self, directory: Path, mark: Cursor) -> None:
        self._directory, self._mark = directory, mark
        self._file: Path | None = None
        self._descriptor: int | None = None
        self._offset = 0
        self._after = b""
        """Where the cursor's own record is not in the spool: only records of a later date are read."""

    def begin(self) -> None:
        """Find the cursor's record. Newest file first: it is nearly always there."""
        every = spool.files(self._directory)
        if self._mark == Cursor():
            return
        for path in reversed(every):
            at = spool.find(_bytes(path), self._mark.digest)
            if at is not None:
                self._open(path)
                self._offset = at
                return
        self._after = self._mark.date

    def read(self) -> list[Spooled]:
        """The next records, about 1 MiB at once; [] when nothing more is there yet."""
        while True:
            if self._descriptor is None and not self._next():
                return []
            assert self._descriptor is not None  # noqa: S101 - _next has opened it
            later = self._later()  # asked first: what this file gets until then is read below
            data = self._rest()
            found, begin = [], self._offset
            for offset, size in spool.heads(data):
                found.append(spool.unpack(data, offset))
                self._offset = begin + offset + size
            whole = bool(found)
            if self._after:
                found = [each for each in found if spool.date(each.frames[1]) > self._after]
                self._after = b"" if found else self._after
            if found:
                return found
            if not whole and later is None:
                return []
            if not whole and later is not None:
                self._open(later)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _rest(self) -> bytes:
        assert self._descriptor is not None  # noqa: S101 - the caller has looked
        size = _CHUNK
        while True:
            data = os.pread(self._descriptor, size, self._offset)
            if len(data) < size or spool.begins_whole(data):
                return data
            size *= 4  # one record is longer than that

    def _later(self) -> Path | None:
        every = spool.files(self._directory)
        return next((path for path in every if self._file is None or path.name > self._file.name), None)

    def _next(self) -> bool:
        later = self._later()
        if later is not None:
            self._open(later)
        return later is not None

    def _open(self, path: Path) -> None:
        self.close()
        self._file, self._offset = path, 0
        try:
            self._descriptor = files.open_regular(path, os.geteuid())
        except (OSError, ValueError):
            self._descriptor = None  # let go of meanwhile, or damaged: on to the next one


def _bytes(path: Path) -> bytes:
    try:
        return kept.read(path, spool.FILE_MOST_BYTES)
    except (OSError, ValueError):
        return b""
