"""The last good copy of what is served: a broken file that takes the original's place stays out, over restarts too.

One combined PEM, 0600, whose first line says what it is a copy of.
"""

from __future__ import annotations

from pathlib import Path

from jupyterd.linux import files
from jupyterd.tls import check
from jupyterd.tls.key_pair import Pair

_HEADER = "jupyterd's copy of "


def write(path: Path, checked: Pair, origin: str) -> None:
    """Put it in place in one step, unless it is there already. OSError when it cannot be written."""
    data = f"{_HEADER}{origin}\n".encode() + checked.pem
    try:
        same = files.read_private(path) == data
    except PermissionError:
        same = False
    if not same:
        files.private_directory(path.parent)
        files.replace_private(path, data)


def read(path: Path, origin: str, now: float) -> Pair | None:
    """The copy, if it is one of `origin` and good."""
    try:
        data = files.read_private(path) or b""
    except OSError:
        return None
    if data.partition(b"\n")[0] != f"{_HEADER}{origin}".encode():
        return None
    found = check.check(path, None, now)
    return found if isinstance(found, Pair) else None
