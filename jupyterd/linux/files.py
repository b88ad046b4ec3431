"""Files: replaced in one step, read without trust, private ones made and checked, changes noticed.

What is in the place of one of our files and is none (a link, a second name, a FIFO, another account's) is never opened
or changed; linux/kept.py sets it aside. Without pathlib: the supervisor imports this module and must stay small.
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
_KINDS = {
    stat.S_IFLNK: "a symbolic link", stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket",
}  # fmt: skip


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


class Damaged(ValueError):  # noqa: N818 - it is what happened
    """What is at `path` is not the file that was written there: another kind, another account's, another content."""

    def __init__(self, path: Path | str, what: str) -> None:
        super().__init__(f"{path} {what}")
        self.path = os.fspath(path)


def stat_mark(path: Path | str) -> str:
    """How a file looks from outside: another text whenever it was replaced or written; ABSENT when it is not there or
    may not be looked at. Links are followed, for certbot moves those.
    """
    try:
        found = os.stat(path)  # noqa: PTH116
    except OSError:
        return ABSENT
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}"


def open_regular(path: Path | str, owner: int | None = None) -> int:
    """A descriptor for reading; never waits for a FIFO's writer, never follows a link. Damaged for anything but a
    regular file, of `owner` if one is given; FileNotFoundError; OSError: the machine cannot (a broken disk).
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except FileNotFoundError:
        raise
    except OSError:  # a link, a socket, a file that only another account may read
        with contextlib.suppress(OSError):
            _expect_regular(path, os.lstat(path), owner)
        raise
    try:
        _expect_regular(path, os.fstat(fd), owner)
    except BaseException:
        os.close(fd)
        raise
    return fd


def read_untrusted(path: Path | str, owner: int | None = None, most: int = LARGEST_BYTES) -> bytes:
    """What an account wrote, for a reader that may be root. Errors as of `open_regular`; Damaged also for a file of
    more than `most` bytes.
    """
    fd = open_regular(path, owner)
    with os.fdopen(fd, "rb") as opened:
        size = os.fstat(fd).st_size
        if size > most:
            raise Damaged(path, f"has {size} bytes, more than the {most} that are read")
        return opened.read(most)


def private_directory(path: Path) -> None:
    """Make it (0700) with its parents; PermissionError if it is there and somebody else's, or a link."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise _refused(path, f"{path} is not a directory: move it away") from None
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise _refused(path, f"{path} is not a directory: move it away")
    if found.st_uid != os.geteuid():
        raise _refused(path, f"{path} belongs to uid {found.st_uid}, not to uid {os.geteuid()}: move it away")
    if stat.S_IMODE(found.st_mode) & 0o077:
        path.chmod(0o700)


def expect_one_name(path: Path | str) -> None:
    """Damaged for what is no regular file of this account with one name; nothing at all is fine."""
    with contextlib.suppress(FileNotFoundError):
        _expect_one_name(path, os.lstat(path))


def read_private(path: Path) -> bytes | None:
    """The contents; None if there is none. Errors as of `open_regular`; Damaged also for one with a second name;
    PermissionError, with what to type, for one that others can read.
    """
    try:
        fd = open_regular(path, os.geteuid())
    except FileNotFoundError:
        return None
    with os.fdopen(fd, "rb") as file:
        found = os.fstat(fd)
        _expect_one_name(path, found)
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise _refused(path, f"{path} can be read by others: chmod 600 {path}")
        return file.read(LARGEST_BYTES)


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


def _expect_one_name(path: Path | str, found: os.stat_result) -> None:
    """A file whose name is gone has just been replaced, which is fine."""
    _expect_regular(path, found, os.geteuid())
    if found.st_nlink > 1:
        raise Damaged(path, "has another name too (a hard link)")


def _expect_regular(path: Path | str, found: os.stat_result, owner: int | None) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise Damaged(path, f"is {_KINDS.get(stat.S_IFMT(found.st_mode), 'a device')}, not a file")
    if owner is not None and found.st_uid != owner:
        raise Damaged(path, f"belongs to uid {found.st_uid}, not to uid {owner}")


def _refused(path: Path, sentence: str) -> PermissionError:
    return UnsafeFile(errno.EPERM, sentence, str(path))


class UnsafeFile(PermissionError):  # noqa: N818 - it is what happened
    """Reads as its sentence, without number and path around it."""

    def __str__(self) -> str:
        return str(self.strerror)
