"""Writes one kernel's spool: appends records, deletes old files, and drops the middle where the bound is reached."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from jupyterd.protocol import cursors, spool
from jupyterd.protocol.spool import Spooled

_FILES = 16
"""The bound is made of so many files; at most half of them are the beginning that is kept, the rest the end."""
_FILE_MOST, _FILE_LEAST = 4 << 20, 1 << 14
_KEPT_TYPES = frozenset((b"status", b"execute_input", b"error"))
"""Of a dropped file these stay: small, and without them a cell would never be seen to end."""


@dataclass(slots=True)
class File:
    """One file of the spool; `last_date` is that of the newest message in it, `thinned` when its bulk is dropped."""

    path: Path
    size: int
    last_date: bytes
    thinned: bool = False


class SpoolWriter:
    """The only writer of its directory. Begins a new file: the last one may end in a record that was never finished."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self.max_bytes = max_bytes
        self._files: list[File] = []
        self._descriptor: int | None = None
        self._number, self._before = 0, 0
        self._complained = False

    def recover(self) -> Iterator[Spooled]:
        """The records of an earlier recorder, oldest first. Exhaust it before the first append."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in spool.files(self._directory):
            data = path.read_bytes()
            date = b""
            for each in spool.records(data):
                date = max(date, spool.date(each.frames[1]))
                self._number, self._before = each.number + 1, each.before + each.size
                yield each
            self._files.append(File(path, len(data), date))

    def append(self, kind: int, whose: bytes, frames: list[bytes]) -> None:
        """Append one message. A full disk costs messages, not the recorder: a gap in the numbers shows their count."""
        record = spool.pack(kind, self._number, self._before, whose, frames)
        if self._descriptor is None or self._files[-1].size + len(record) > self._file_size():
            self._roll()
        self._number, self._before = self._number + 1, self._before + len(record)
        try:
            if self._descriptor is None or os.write(self._descriptor, record) != len(record):
                raise OSError("written in part only")
        except OSError as error:
            self._complain(error)
            self._close()
            return
        file = self._files[-1]
        file.size += len(record)
        file.last_date = max(file.last_date, spool.date(frames[1]))

    def close(self) -> None:
        """Close the file."""
        self._close()

    def _file_size(self) -> int:
        return min(max(self.max_bytes // _FILES, _FILE_LEAST), _FILE_MOST)

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _roll(self) -> None:
        self._close()
        path = self._directory / spool.file_name(self._number)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._trim(each.cursor.date for each in cursors.read(self._directory / spool.MARKS) if each.held)
            self._descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            self._complain(error)
            return
        if not self._files or self._files[-1].path != path:
            self._files.append(File(path, 0, b""))

    def _trim(self, awaited: Iterable[bytes]) -> None:
        """Before a file begins: forget what every tab has, then thin out the middle down to the bound."""
        dates = list(awaited)
        floor = min(dates) if dates else None
        # one whole file stays in any case: the last seconds, for a tab of which nobody knows yet
        while len(self._files) > 1 and (floor is None or self._files[0].last_date < floor):
            self._files.pop(0).path.unlink(missing_ok=True)
        bound = self.max_bytes - self._file_size()
        begin = 0
        for file in self._files[:-1]:
            begin += file.size
            if sum(each.size for each in self._files) <= bound:
                return
            if begin > self.max_bytes // 2 and not file.thinned:
                self._thin(file)
        while len(self._files) > 1 and sum(each.size for each in self._files) > bound:
            oldest = next((index for index, each in enumerate(self._files[:-1]) if each.thinned), 0)
            self._files.pop(oldest).path.unlink(missing_ok=True)

    def _thin(self, file: File) -> None:
        data = file.path.read_bytes()
        kept = b"".join(
            data[offset : offset + size] for offset, size in spool.heads(data) if _is_kept(spool.unpack(data, offset))
        )
        beside = file.path.with_suffix(".new")
        beside.write_bytes(kept)
        beside.chmod(0o600)
        beside.replace(file.path)
        file.size, file.thinned = len(kept), True

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            self._complained = True
            print(f"the spool in {self._directory} cannot be written, output is not kept: {error}", file=sys.stderr)  # noqa: T201 - its own log


def _is_kept(record: Spooled) -> bool:
    return record.kind != spool.IOPUB or spool.message_type(record.frames[1]) in _KEPT_TYPES
