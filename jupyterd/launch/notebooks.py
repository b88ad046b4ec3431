"""What a kernel is used for, as people name it: the notebook's path of now, also after a rename, or a console's name.

From the sessions that the server keeps on disk (server/sessions.py), which are there without a server too.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from jupyterd.launch import registry
from jupyterd.linux import files
from jupyterd.protocol import documents
from jupyterd.settings.paths import Paths

_LOCKED_S = 0.5
_SESSION = "SELECT path, name, type FROM session WHERE kernel_id = ?"


def of_kernel(records: Path, kernel_id: str) -> str:
    """The absolute path of its notebook, else the name of its session, else the path that it was started for; "" where
    none is known. `records` is the directory of the kernels' records, in the state directory.
    """
    paths = Paths("service", records.parent, records.parent)  # of the state directory alone
    try:
        path, name, kind = _session(paths.sessions, kernel_id)
        if kind != "notebook":
            return name or path
        return str(Path(_root(paths.traits), path)) if path else _at_start(records, kernel_id)
    except (LookupError, sqlite3.Error):
        return _at_start(records, kernel_id)


def _session(file: Path, kernel_id: str) -> tuple[str, str, str]:
    """(path below the root directory, name, type). LookupError where no session has this kernel; sqlite3.Error."""
    if not file.is_file():
        raise LookupError(kernel_id)
    with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=ro", uri=True, timeout=_LOCKED_S)) as opened:
        found = opened.execute(_SESSION, (kernel_id,)).fetchone()
    if found is None:
        raise LookupError(kernel_id)
    path, name, kind = (str(each or "") for each in found)
    return path, name, kind


def _root(traits: Path) -> str:
    try:
        return str(documents.document(files.read_private(traits) or b"")["ServerApp"]["root_dir"])
    except (OSError, ValueError, TypeError, KeyError):
        return ""


def _at_start(records: Path, kernel_id: str) -> str:
    try:
        return registry.read_env(records, kernel_id).get("JPY_SESSION_NAME", "")
    except (OSError, ValueError):
        return ""
