"""SQLite files: whether an error means that the file is damaged, rather than that the machine cannot at present."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

COMPANIONS = ("-journal", "-wal", "-shm")
"""What lies beside a database, by suffix (sqlite.org/tempfiles.html)."""
_DAMAGED = (
    sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_TOOBIG,
)  # fmt: skip
"""SQLITE_ERROR: another schema than ours, or a header that says so."""


def is_damage(error: Exception, path: Path) -> bool:
    """Whether it helps to set the file at `path` aside. ValueError: it was found to be damaged by other means."""
    if isinstance(error, ValueError):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return isinstance(error, IsADirectoryError)
    if code & 0xFF == sqlite3.SQLITE_READONLY:  # one flipped bit in the header says so too
        return os.access(path, os.W_OK)
    return code & 0xFF in _DAMAGED
