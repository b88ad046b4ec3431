"""Files: replaced in one step, private ones made and checked, others' read without trust, changes noticed.

What somebody has planted in the place of a private file (a link, a second name, a FIFO) is refused and left as it is:
its target is not ours to read or to change. Without pathlib: the supervisor imports this module and must stay small.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LARGEST_BYTES = 1 << 20
"""Nothing that is kept in a private file or read from another account is near it; a status document of 100 GPUs and
addresses is a tenth of it.
"""
ABSENT = "absent"
"""The mark of no file."""


def replace(
    path: Path | str, data: bytes, *, mode: int = 0o600, owner: tuple[int, int] | None = None, durable: bool = False
) -> None:
    """Put `data` at `path` in one step: a reader sees the old file or the new one. `owner` is (uid, gid). With
    `durable` it survives a power cut (fsync(2) of file and directory). OSError; then the old file stands.
    """
    directory, name = os.path.split(os.fspath(path))
    new = os.path.join(directory, f".{name}.{os.urandom(6).hex()}")  # noqa: PTH118
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            if owner is not None:
                os.fchown(fd, *owner)
            os.fchmod(fd, mode)
            if durable:
                os.fsync(fd)
        os.replace(new, path)  # noqa: PTH105
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(new)  # noqa: PTH108
        raise
    if durable:
        parent = os.open(directory or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)


def replace_private(path: Path, data: bytes) -> None:
    """Put `data` at `path`, 0600 and durably. PermissionError for what was planted there."""
    refuse_planted(path)
    replace(path, data, durable=True)


def stat_mark(path: Path | str) -> str:
    """How a file looks from outside: another text whenever it was replaced or written; ABSENT when it is not there or
    may not be looked at. Links are followed, for certbot moves those.
    """
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return ABSENT
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"


def read_untrusted(path: Path, owner: int | None = None) -> bytes:
    """What an account wrote, for a reader that may be root: never waits for a FIFO's writer, never follows a link.
    OSError; ValueError for anything but a regular file of at most LARGEST_BYTES, of `owner` if one is given.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with os.fdopen(fd, "rb") as opened:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("not a regular file")
        if owner is not None and found.st_uid != owner:
            raise ValueError("another account's file")
        if found.st_size > LARGEST_BYTES:
            raise ValueError(f"{found.st_size} bytes are more than the {LARGEST_BYTES} that are read")
        return opened.read(LARGEST_BYTES)


def private_directory(path: Path) -> None:
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


def refuse_planted(path: Path) -> None:
    """PermissionError for what somebody planted there; nothing at all is fine, and who may read it is not asked."""
    with contextlib.suppress(FileNotFoundError):
        _expect_a_file(path, path.lstat())


def read_private(path: Path) -> bytes | None:
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


def is_locked(path: Path, *, shared: bool = False) -> bool:
    """Whether another process holds this lock (flock(2)); with `shared`, also one that shares it. False without the
    file. The lock is taken for a moment to find out: /proc/locks does not know files on overlayfs.
    """
    flags = os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        try:
            # On NFS an exclusive lock needs a descriptor that is open for writing (flock(2), "NFS details").
            fd = os.open(path, (os.O_RDWR if shared else os.O_RDONLY) | flags)
        except OSError:
            fd = os.open(path, os.O_RDONLY | flags)
    except OSError:
        return False
    try:
        fcntl.flock(fd, (fcntl.LOCK_EX if shared else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
    return False


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
