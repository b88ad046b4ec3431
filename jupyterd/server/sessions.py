"""Which notebook has which kernel: Jupyter's session manager over rows in memory, which a small SQLite file follows.

The file may be damaged, removed, or on a disk that is full or read-only: notebooks are opened all the same, and it is
written again as soon as that is possible. Its format is Jupyter's own.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from jupyter_server.services.sessions.sessionmanager import SessionManager as StockSessionManager
from tornado.ioloop import IOLoop
from traitlets import validate

from jupyterd.linux import files, kept
from jupyterd.linux.kept import Tell
from jupyterd.linux.sqlite import COMPANIONS, is_damage

_TABLE = "CREATE TABLE IF NOT EXISTS session (session_id, path, name, type, kernel_id)"
_INSERT = "INSERT INTO session VALUES (?, ?, ?, ?, ?)"
_SELECT = "SELECT session_id, path, name, type, kernel_id FROM session"
_WAIT_S = 2.0
_AGAIN_S = 10.0
_MEMORY = ":memory:"
Row = tuple[str | None, ...]


class SessionManager(StockSessionManager):
    """The value of ServerApp.session_manager_class."""

    _cursor: Any
    _connection: Any

    @validate("database_filepath")
    def _validate_database_filepath(self, proposal: Any) -> str:  # noqa: ANN401 - traitlets'
        """Stock refuses to start over a file that is no database."""
        return str(proposal["value"])

    @property
    def connection(self) -> sqlite3.Connection:
        """Jupyter's hook: the rows in memory."""
        if self._connection is None:
            self._connection = sqlite3.connect(_MEMORY, isolation_level=None)
            self._connection.row_factory = sqlite3.Row
        return self._connection  # type: ignore[no-any-return]

    def close(self) -> None:
        """Jupyter's hook, which closes the cursor alone."""
        super().close()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def cursor(self) -> Any:  # noqa: ANN401 - as much of a cursor as Jupyter uses
        """Jupyter's hook: each statement that changes the rows changes the file too."""
        if self._cursor is None:
            made = self.connection.cursor()
            made.execute(_TABLE)
            follower = None
            if self.database_filepath != _MEMORY:
                follower = SessionFile(Path(self.database_filepath), getattr(self.parent, "damaged", self.log.warning))
                made.executemany(_INSERT, follower.read())
            self._cursor = _Followed(made, follower)
        return self._cursor


class _Followed:
    """A cursor over the rows in memory, which the file follows."""

    def __init__(self, cursor: sqlite3.Cursor, file: SessionFile | None) -> None:
        self._cursor, self._file = cursor, file
        self.fetchone, self.fetchall, self.close = cursor.fetchone, cursor.fetchall, cursor.close

    def execute(self, statement: str, values: Any = ()) -> sqlite3.Cursor:  # noqa: ANN401 - sqlite3's
        """As sqlite3.Cursor."""
        done = self._cursor.execute(statement, values)
        if self._file is not None and not statement.lstrip().upper().startswith("SELECT"):
            self._file.write([tuple(row) for row in self._cursor.connection.execute(_SELECT)])
        return done


class SessionFile:
    """The file. Nothing that happens to it keeps anybody from working."""

    def __init__(self, path: Path, tell: Tell) -> None:
        self._path, self._tell = path, tell
        self._rows: list[Row] = []
        self._behind = False
        """The file does not hold `_rows` yet."""
        self._told = ""

    def read(self) -> list[Row]:
        """The rows; none where there is no file, or it was damaged and is set aside, or the disk cannot read it."""
        try:
            os.close(files.open_regular(self._path, os.geteuid()))
            with closing(
                sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=rw", uri=True, timeout=_WAIT_S)
            ) as file:
                _check(file)
                self._rows = [row for row in file.execute(_SELECT) if _is_session(row)] if _has_table(file) else []
        except FileNotFoundError:
            pass
        except (OSError, ValueError, sqlite3.Error) as error:
            self._failed(error)
        return self._rows

    def write(self, rows: list[Row]) -> None:
        """Make the file hold these rows, now or as soon as the disk allows it."""
        self._rows = rows
        self._follow()

    def _follow(self) -> None:
        try:
            os.close(kept.open_own(self._path, self._tell))  # 0600 from its beginning
            with closing(sqlite3.connect(self._path, timeout=_WAIT_S)) as file, file:
                file.execute(_TABLE)
                file.execute("DELETE FROM session")
                file.executemany(_INSERT, self._rows)
        except (OSError, sqlite3.Error) as error:
            again = self._failed(error)
            if again and not self._behind:
                self._behind = True
                self._follow()
                return
            self._behind = True
            IOLoop.current().call_later(_AGAIN_S, self._again)
        else:
            self._behind, self._told = False, ""

    def _again(self) -> None:
        if self._behind:
            self._follow()

    def _failed(self, error: Exception) -> bool:
        """Whether a damaged file was set aside."""
        if is_damage(error, self._path):
            try:
                kept.set_aside(self._path, error, self._tell, COMPANIONS)
            except OSError as refusal:
                error = refusal
            else:
                return True
        told = f"{kept.disk_trouble(error) or error}: {self._path} cannot be updated; notebooks still open"
        if told != self._told:
            self._told = told
            self._tell(told)
        return False


def _check(file: sqlite3.Connection) -> None:
    ((answer,), *_) = file.execute("PRAGMA quick_check(1)").fetchall()
    if answer != "ok":
        raise ValueError(str(answer))


def _has_table(file: sqlite3.Connection) -> bool:
    """A file that was made a moment ago has none."""
    return bool(file.execute("SELECT 1 FROM sqlite_master WHERE name = 'session'").fetchall())


def _is_session(row: Row) -> bool:
    text = all(value is None or isinstance(value, str) for value in row)
    return text and row[0] is not None and row[4] is not None
