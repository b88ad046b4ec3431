"""Files and directories that only the account may read: made so, checked to be so, replaced in one step.

Knows no contents. Neighbours: login_store.py here, jupyterd.jupyter.config.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

LARGEST_BYTES = 1 << 20
"""Nothing that is kept this way is near it; a file that is larger is not ours."""


def directory(path: Path) -> None:
    """Make it (0700) with its parents; PermissionError if it is there and somebody else's, or a link."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise PermissionError(f"{path} is not a directory: move it away")
    if found.st_uid != os.geteuid():
        raise PermissionError(f"{path} belongs to uid {found.st_uid}, not to uid {os.geteuid()}: move it away")
    if stat.S_IMODE(found.st_mode) & 0o077:
        path.chmod(0o700)


def replace(path: Path, data: bytes) -> None:
    """Put `data` at `path` (0600) in one step that survives a power cut; a link there is replaced, not followed."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


def read(path: Path) -> bytes | None:
    """The contents; None if there is none. PermissionError, with what to type, for one that others can read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise PermissionError(f"{path} is not a regular file: move it away")
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise PermissionError(f"{path} can be read by others: chmod 600 {path}")
        return file.read(LARGEST_BYTES)
