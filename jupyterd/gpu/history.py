"""The history of the GPUs in one SQLite file: a row a minute, a row an hour after 30 days, never above a size.

The sampler writes, the verbs read. WAL with synchronous=NORMAL: whole after a power cut, which costs the last half
minute or so; FULL would wait for the disk under somebody's checkpoint, and the sampler must beat.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from jupyterd.gpu import history_rows, intervals
from jupyterd.gpu.intervals import Spans
from jupyterd.linux import kept
from jupyterd.linux.sqlite import COMPANIONS, is_damage
from jupyterd.protocol.gpu_frames import Frame
from jupyterd.text import DAY_S, HOUR_S

VERSION = 1
_SOME_VERSION = 1000
"""No version that will ever be."""
MINUTES_KEPT_S = 30 * DAY_S
MAX_BYTES = 256 << 20
"""Two GPUs and four notebooks around the clock need 15 MB for 30 days of minutes (measured), 3 MB a year of hours."""
_WAIT_S = 2.0
"""Wait for a lock: a writer waits for no reader, so another writer holds it."""
_PENDING_MOST = 120


class Unreadable(Exception):  # noqa: N818 - the sentence is the name
    """There is a history that cannot be read: one sentence why."""


class History:
    """The writer; one row covers `span_s`. Nothing that happens to the file ends the sampler: `tell` gets a sentence
    for each new kind of failure.
    """

    def __init__(
        self, path: Path, tell: Callable[[str], None], span_s: int = 60, *, max_bytes: int = MAX_BYTES
    ) -> None:
        self._path, self._tell, self._span_s, self._max_bytes = path, tell, span_s, max_bytes
        self._frames: tuple[Frame, ...] = ()
        self._file: sqlite3.Connection | None = None
        self._inode = 0
        self._pending: list[Spans] = []
        self._complained: str | None = None
        self._tidied = 0

    def take(self, frame: Frame) -> None:
        """Collect the frame; the first frame of a new span writes the span before."""
        self._frames, over = intervals.gathered(self._frames, frame, self._span_s)
        if over is not None:
            self.add(over)

    def add(self, new: Spans) -> None:
        """Write these spans. After a failure they are kept for two hours and written with the next ones."""
        self._pending = [*self._pending, new][-_PENDING_MOST:]
        try:
            self._write()
        except (sqlite3.Error, OSError, ValueError) as error:
            self._failed(error)
        else:
            self._pending, self._complained = [], None

    def close(self) -> None:
        """Close the file; nothing is lost without it."""
        if self._file is not None:
            with suppress(sqlite3.Error):
                self._file.close()
            self._file = None

    def _write(self) -> None:
        file = self._opened()
        with _transaction(file):
            for each in self._pending:
                history_rows.insert(file, each)
            newest = max((gpu.at for each in self._pending for gpu in each.gpus), default=0)
            if intervals.beginning(newest, HOUR_S) > self._tidied:
                self._tidied = intervals.beginning(newest, HOUR_S)
                _tidy(file, newest, self._max_bytes)

    def _opened(self) -> sqlite3.Connection:
        if self._file is not None:
            with suppress(FileNotFoundError):
                if self._path.stat().st_ino == self._inode:
                    return self._file
            self.close()  # somebody has deleted or replaced it
        # 0600 from its beginning; SQLite gives its companions the same mode.
        os.close(kept.open_own(self._path, self._tell))
        file = sqlite3.connect(self._path, timeout=_WAIT_S, isolation_level=None)
        try:
            _prepare(file)
        except BaseException:
            file.close()
            raise
        self._file, self._inode = file, self._path.stat().st_ino
        return file

    def _failed(self, error: Exception) -> None:
        self.close()
        if is_damage(error, self._path) and not isinstance(error, sqlite3.NotSupportedError):
            try:
                kept.set_aside(self._path, error, self._say, COMPANIONS)
            except OSError as refusal:
                error = refusal
            else:
                return
        self._say(f"the GPU history {self._path} cannot be written: {kept.disk_trouble(error) or error}")

    def _say(self, sentence: str) -> None:
        if sentence != self._complained:
            self._complained = sentence
            self._tell(sentence)


def read(path: Path, since: float, until: float) -> Spans:
    """The spans that began in [since, until) (Unix seconds), oldest first; none without a file. Raises Unreadable."""
    if not path.exists():
        return Spans()
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=_WAIT_S, uri=True)) as file:
            version = _version(file)
            if version > VERSION:
                raise Unreadable(f"{path} was written by a newer jupyterd (its format is {version})")
            if version == 0:  # made a moment ago
                return Spans()
            return history_rows.read(file, "at >= ? AND at < ?", (since, until))
    except sqlite3.Error as error:
        raise Unreadable(
            f"{path} cannot be read ({error}); the sampler sets a damaged one aside and begins a new one"
        ) from error


@contextmanager
def _transaction(file: sqlite3.Connection) -> Iterator[None]:
    """All or nothing; the connection itself commits or rolls back (sqlite3.Connection.__exit__)."""
    with file:
        file.execute("BEGIN IMMEDIATE")
        yield


def _prepare(file: sqlite3.Connection) -> None:
    file.execute("PRAGMA journal_mode = WAL")
    file.execute("PRAGMA synchronous = NORMAL")
    version = _version(file)
    if not 0 <= version < _SOME_VERSION:
        raise ValueError(f"its format is {version}")
    if version > VERSION:
        raise sqlite3.NotSupportedError(f"a newer jupyterd has written it (its format is {version})")
    if version == 0:
        with _transaction(file):
            for statement in history_rows.SCHEMA.split(";"):
                file.execute(statement)
            file.execute(f"PRAGMA user_version = {VERSION}")
    ((answer,), *_) = file.execute("PRAGMA quick_check(1)").fetchall()
    if answer != "ok":
        error = sqlite3.DatabaseError(answer)
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def _version(file: sqlite3.Connection) -> int:
    ((version,),) = file.execute("PRAGMA user_version").fetchall()
    return int(version)


def _tidy(file: sqlite3.Connection, newest: int, max_bytes: int) -> None:
    """Merge minutes older than 30 days into hours; above the size limit younger ones, then delete the oldest hours."""
    edge = newest - MINUTES_KEPT_S
    while (oldest := _oldest_minute(file)) is not None and oldest < intervals.beginning(edge, HOUR_S):
        _roll_up(file, min(oldest + DAY_S, edge))  # a day at a time: after a long pause there may be many
    while _size(file) > max_bytes:
        oldest = _oldest_minute(file)
        if oldest is not None and oldest < newest - DAY_S:
            _roll_up(file, oldest + DAY_S)
            continue
        ((first,),) = file.execute("SELECT min(at) FROM gpu_span").fetchall()
        if first is None or first >= newest - DAY_S:
            break
        for table in ("gpu_span", "holder_span"):
            file.execute(f"DELETE FROM {table} WHERE at < ?", (first + 30 * DAY_S,))  # noqa: S608 - two names of ours
    file.execute("DELETE FROM holder WHERE id NOT IN (SELECT holder FROM holder_span)")


def _oldest_minute(file: sqlite3.Connection) -> int | None:
    ((oldest,),) = file.execute("SELECT min(at) FROM gpu_span WHERE span_s < ?", (HOUR_S,)).fetchall()
    return None if oldest is None else int(oldest)


def _roll_up(file: sqlite3.Connection, before: int) -> None:
    """Merge the minutes of all whole hours before `before` into hours."""
    edge = intervals.beginning(before, HOUR_S)
    old = history_rows.read(file, "at < ? AND span_s < ?", (edge, HOUR_S))
    for table in ("gpu_span", "holder_span"):
        file.execute(f"DELETE FROM {table} WHERE at < ? AND span_s < ?", (edge, HOUR_S))  # noqa: S608 - two names of ours
    if old.gpus or old.holders:
        history_rows.insert(file, intervals.coarser(old, HOUR_S))


def _size(file: sqlite3.Connection) -> int:
    asked = ("page_count", "freelist_count", "page_size")
    pages, free, size = (int(file.execute(f"PRAGMA {each}").fetchone()[0]) for each in asked)
    return (pages - free) * size
