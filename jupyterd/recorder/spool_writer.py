"""Writes one kernel's spool: appends records, deletes old files, and drops the middle where the bound is reached."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from jupyterd.linux import files, kept
from jupyterd.protocol import cursors, spool, unsaved
from jupyterd.protocol.spool import Spooled

_FILES = 16
"""The bound is made of so many files; at most half of them are the beginning that is kept, the rest the end."""
_FILE_MOST, _FILE_LEAST = 4 << 20, 1 << 14
_ROOM, _ROOM_LEAST = "room", _FILE_LEAST
"""A file that shows whether the disk has room again, and its least size in bytes."""
_CALM_S = 10.0
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
        self.trouble = ""
        """Why messages are not kept at present, one phrase; "" while they are."""
        self._failed_at, self._wanted = 0.0, _ROOM_LEAST

    def recover(self) -> Iterator[Spooled]:
        """The records of an earlier recorder, oldest first. Exhaust it before the first append. Damage is told, and a
        file in which nothing is whole is set aside; one that the disk cannot read stays.
        """
        try:
            kept.directory(self._directory)
            every = spool.files(self._directory)
        except OSError as error:
            self._complain(error)
            return
        for path in every:
            self._number = max(self._number, spool.first_number(path))
            try:
                data = kept.read(path, spool.FILE_MOST_BYTES)
            except FileNotFoundError:
                continue
            except OSError as error:
                self._number += 1  # so that no other file gets its name
                kept.say(f"{path} cannot be read at present: {error.strerror}")
                continue
            except ValueError as error:
                self._set_aside(path, error)
                continue
            yield from self._recovered(path, data)

    def _recovered(self, path: Path, data: bytes) -> Iterator[Spooled]:
        date, end, damaged = b"", 0, 0
        for offset, size in spool.heads(data):
            each = spool.unpack(data, offset)
            damaged += offset - end
            end = offset + size
            date = max(date, spool.date(each.frames[1]))
            self._number, self._before = max(self._number, each.number + 1), each.before + each.size
            yield each
        if damaged:
            kept.say(f"{path} is damaged in {damaged} of {len(data)} bytes: the messages in them are lost, no others")
        if data and not end:
            self._set_aside(path, "it holds no whole message")
        else:
            self._files.append(File(path, len(data), date))

    def _set_aside(self, path: Path, why: object) -> None:
        self._number += 1
        try:
            kept.set_aside(path, why)
        except OSError as error:
            kept.say(f"{path} is damaged ({why}) and cannot be set aside: {error.strerror}")

    def append(self, kind: int, whose: bytes, frames: list[bytes]) -> None:
        """Append one message. A full disk costs messages, not the recorder: a gap in the numbers shows their count."""
        try:
            record = spool.pack(kind, self._number, self._before, whose, frames)
        except ValueError as error:
            kept.say(f"{self._directory}: {error}")
            self._number += 1
            return
        if self._descriptor is None or self._files[-1].size + len(record) > self._file_size():
            self._roll()
        self._number, self._before = self._number + 1, self._before + len(record)
        try:
            if self._descriptor is None:
                return  # which has been said
            if os.write(self._descriptor, record) != len(record):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self._wanted = max(len(record), _ROOM_LEAST)
            self._complain(error)
            self._close()
            return
        file = self._files[-1]
        file.size += len(record)
        file.last_date = max(file.last_date, spool.date(frames[1]))

    def try_again(self) -> None:
        """After a trouble: it is over when nothing has failed for 10 s, and what could not be written has room now. The
        kernel may be silent; and dropping its oldest output makes room for a moment on a disk that stays full.
        """
        if time.monotonic() - self._failed_at < _CALM_S:
            return
        room = self._directory / _ROOM
        try:
            kept.directory(self._directory)
            files.replace(room, bytes(self._wanted))
            room.unlink()
        except OSError as error:
            self._complain(error)
            return
        self.trouble, self._wanted = "", _ROOM_LEAST
        kept.say(f"the spool in {self._directory} can be written again")

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
            kept.directory(self._directory)
            kept.clear(path)
            self._trim(self._awaited())
            self._descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            self._complain(error)
            return
        if not self._files or self._files[-1].path != path:
            self._files.append(File(path, 0, b""))

    def _awaited(self) -> Iterator[bytes]:
        """Dates; what is newer is kept: for tabs that are absent, and for outputs that are not saved."""
        for each in cursors.read(self._directory / spool.MARKS):
            if each.held:
                yield each.cursor.date
        if (oldest := unsaved.oldest(self._directory)) is not None:
            yield oldest

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
                with contextlib.suppress(OSError, ValueError):  # a full disk: then whole files go below
                    self._thin(file)
        while len(self._files) > 1 and sum(each.size for each in self._files) > bound:
            oldest = next((index for index, each in enumerate(self._files[:-1]) if each.thinned), 0)
            self._files.pop(oldest).path.unlink(missing_ok=True)

    def _thin(self, file: File) -> None:
        data = kept.read(file.path, spool.FILE_MOST_BYTES)
        rest = b"".join(
            data[offset : offset + size] for offset, size in spool.heads(data) if _is_kept(spool.unpack(data, offset))
        )
        files.replace(file.path, rest)
        file.size, file.thinned = len(rest), True

    def _complain(self, error: OSError) -> None:
        """Once, until it could be written again."""
        self._failed_at = time.monotonic()
        why = kept.disk_trouble(error) or kept.unwritable(error)
        if why != self.trouble:
            self.trouble = why
            kept.say(f"the spool in {self._directory} cannot be written, output is not kept: {why}")


def _is_kept(record: Spooled) -> bool:
    return record.kind != spool.IOPUB or spool.message_type(record.frames[1]) in _KEPT_TYPES
