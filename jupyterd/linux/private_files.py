"""Files and directories that only the account may read: made so, checked to be so, replaced in one step.

What somebody has planted in their place (a link, a second name, a FIFO) is refused and left as it is: its target is
not ours to read or to change. Knows no contents.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path

LARGEST_BYTES = 1 << 20
"""Nothing that is kept this way is near it; a file that is larger is not ours."""


def directory(path: Path) -> None:
    """Make it (0700) with its parents; PermissionError if it is there and somebody else's, or a link."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise _planted(path, "not a directory") from None
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise _planted(path, "not a directory")
    if found.st_uid != os.geteuid():
        raise _refused(path, f"{path} belongs to uid {found.st_uid}, not to uid {os.geteuid()}: move it away")
    if stat.S_IMODE(found.st_mode) & 0o077:
        path.chmod(0o700)


def replace(path: Path, data: bytes) -> None:
    """Put `data` at `path` (0600) in one step that survives a power cut. PermissionError for what was planted there."""
    look(path)
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


def look(path: Path) -> None:
    """PermissionError for what somebody planted there; nothing at all is fine, and who may read it is not asked."""
    with contextlib.suppress(FileNotFoundError):
        _expect_a_file(path, path.lstat())


def read(path: Path) -> bytes | None:
    """The contents; None if there is none. PermissionError, with what to type, for one that others can read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise _planted(path, "a symbolic link") from None
    try:
        found = os.fstat(fd)
        _expect_a_file(path, found)
        if found.st_uid != os.geteuid():
            raise _refused(path, f"{path} belongs to uid {found.st_uid}, not to uid {os.geteuid()}: move it away")
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise _refused(path, f"{path} can be read by others: chmod 600 {path}")
        with os.fdopen(fd, "rb", closefd=False) as file:
            return file.read(LARGEST_BYTES)
    finally:
        os.close(fd)


def lock_file(path: Path) -> int:
    """A descriptor of a file that is there to be locked; the caller closes it. Nothing is ever written to it."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise _planted(path, "a symbolic link") from None
    try:
        _expect_a_file(path, os.fstat(fd))
    except BaseException:
        os.close(fd)
        raise
    return fd


def _expect_a_file(path: Path, found: os.stat_result) -> None:
    """A plain file with one name; with none it has just been replaced, which is fine."""
    if stat.S_ISLNK(found.st_mode):
        raise _planted(path, "a symbolic link")
    if not stat.S_ISREG(found.st_mode):
        raise _planted(path, "not a regular file")
    if found.st_nlink > 1:
        raise _planted(path, "a hard link (the file has another name too)")


def _planted(path: Path, what: str) -> PermissionError:
    return _refused(path, f"{path} is {what}, which jupyterd did not make: move it away")


def _refused(path: Path, sentence: str) -> PermissionError:
    return UnsafeFile(errno.EPERM, sentence, str(path))


class UnsafeFile(PermissionError):  # noqa: N818 - it is what happened
    """Reads as its sentence, without number and path around it."""

    def __str__(self) -> str:
        return str(self.strerror)
