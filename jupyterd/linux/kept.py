"""The small files that we keep: one way to read them, one kind of damage, one way to set what is damaged aside.

Damage is lost content, and only that of the damaged file: whatever is found in its place is renamed beside it, told
with its name, and never opened, followed or deleted. An OSError is another matter: the machine cannot at present (the
disk is full, read-only or broken), nothing is damaged, and the caller waits or goes on without.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from jupyterd.linux import files
from jupyterd.linux.files import Damaged

if TYPE_CHECKING:
    from pathlib import Path

ASIDE = ".damaged"
"""Part of the name of what was set aside: NAME.damaged, NAME.damaged.2 and so on."""
ASIDE_MOST = 8
"""So many stay in one directory."""

Made = TypeVar("Made")
Tell = Callable[[str], object]
"""Gets one sentence for a person, with the file's name."""


def say(sentence: str) -> None:
    """On standard error: a verb's terminal, or the journal."""
    sys.stderr.write(f"jupyterd: {sentence}\n")


def load(path: Path, decode: Callable[[bytes], Made], tell: Tell = say) -> Made | None:
    """What `decode` makes of the file's bytes; None if there is none, or it was damaged: then it is set aside and
    told. `decode` raises ValueError for what it does not know. OSError: it cannot be read, or not be set aside.
    """
    try:
        return decode(read(path))
    except FileNotFoundError:
        return None
    except ValueError as error:
        set_aside(path, error, tell)
        return None


def read(path: Path | str, most: int = files.LARGEST_BYTES) -> bytes:
    """The bytes of a file of this account. FileNotFoundError; Damaged; OSError: the machine cannot at present."""
    return files.read_untrusted(path, os.geteuid(), most)


def write(path: Path, data: bytes, tell: Tell = say) -> None:
    """Put `data` at `path`, 0600 and durably, and set aside what is there and no file of ours. A file that holds the
    same is left alone: a full disk is then no matter. OSError.
    """
    clear(path, tell)
    with contextlib.suppress(OSError, ValueError):
        if files.read_private(path) == data:
            return
    files.replace(path, data, durable=True)


def clear(path: Path, tell: Tell = say) -> None:
    """Set aside what is at `path` unless it is nothing, or a file of this account with one name. OSError."""
    try:
        files.expect_one_name(path)
    except Damaged as error:
        set_aside(path, error, tell)


def directory(path: Path, tell: Tell = say) -> None:
    """Make it, 0700, with its parents; what is there and is no directory of this account is set aside. OSError."""
    try:
        files.private_directory(path)
    except files.UnsafeFile as error:
        set_aside(path, error, tell)
        files.private_directory(path)


def open_own(path: Path, tell: Tell = say) -> int:
    """A descriptor for reading and writing of the file, which is made if there is none; the caller closes it. What is
    there and is no file of ours is set aside. On a read-only disk it is open for reading, enough for flock(2). OSError.
    """
    flags = os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    clear(path, tell)
    try:
        return os.open(path, os.O_RDWR | flags, 0o600)
    except OSError as error:
        if error.errno != errno.EROFS or not os.path.lexists(path):
            raise
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def open_locked(path: Path, tell: Tell = say, *, shared: bool = False) -> int:
    """As open_own, and locked (flock(2)) for as long as it is open. BlockingIOError: another process has the lock."""
    descriptor = open_own(path, tell)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def remove(path: Path, tell: Tell = say) -> None:
    """Delete it, whatever it is; a directory is set aside. Nothing there is fine. OSError."""
    try:
        path.unlink(missing_ok=True)
    except IsADirectoryError:
        set_aside(path, "is a directory, not a file", tell)


def set_aside(path: Path, why: object, tell: Tell = say, companions: Iterable[str] = ()) -> None:
    """Rename what is at `path`, and the files PATH + each of `companions`, to a name with ".damaged" beside it, and
    tell so. Of what was set aside in this directory the oldest is deleted, but never a directory that is not empty.
    OSError if it cannot be renamed.
    """
    _forget_oldest(path.parent)
    names = (
        path.with_name(f"{path.name}{ASIDE}{'' if number == 1 else f'.{number}'}") for number in itertools.count(1)
    )
    aside = next(name for name in names if not os.path.lexists(name))
    try:
        path.rename(aside)
    except FileNotFoundError:  # another process was faster, and has told
        return
    for each in companions:
        with contextlib.suppress(OSError):
            path.with_name(path.name + each).rename(aside.with_name(aside.name + each))
    reason = str(why).removeprefix(f"{path} ")
    tell(f"{path} was damaged ({reason}): it was set aside as {aside.name}")


def set_aside_in(directory: Path) -> list[Path]:
    """What was set aside in this directory, by name; none if it cannot be read."""
    try:
        return sorted(each for each in directory.iterdir() if ASIDE in each.name)
    except OSError:
        return []


def disk_trouble(error: Exception) -> str | None:
    """How a person is told that the disk cannot: "the disk is full"; None for an error of another kind."""
    if isinstance(error, OSError):
        return _DISK.get(error.errno or 0)
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else _SQLITE_DISK.get(code & 0xFF)


def unwritable(error: OSError) -> str:
    """One phrase for a person: what is the matter with the disk, and which file could not be written."""
    return f"{disk_trouble(error) or error.strerror or error}: {error.filename or 'a file'} cannot be written"


_DISK = {
    errno.ENOSPC: "the disk is full", errno.EDQUOT: "this account's share of the disk (quota) is full",
    errno.EROFS: "the disk is read-only", errno.EIO: "the disk has an error (see: sudo dmesg | tail)",
}  # fmt: skip
_SQLITE_DISK = {13: _DISK[errno.ENOSPC], 8: _DISK[errno.EROFS], 10: _DISK[errno.EIO]}
"""SQLITE_FULL, SQLITE_READONLY, SQLITE_IOERR (sqlite.org/rescode.html); the module sqlite3 would be 1 MB of memory."""


def _forget_oldest(directory: Path) -> None:
    aged = []
    for each in set_aside_in(directory):
        with contextlib.suppress(OSError):
            aged.append((each.lstat().st_ctime_ns, each))
    for _, each in sorted(aged)[: -ASIDE_MOST + 1 or None]:
        with contextlib.suppress(OSError):
            each.rmdir() if each.is_dir() and not each.is_symlink() else each.unlink()
