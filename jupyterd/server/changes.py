"""Notices that something changed in a directory, without looking: the kernel tells it (inotify(7)).

Where it does not (too many watches, a network disk) nothing is noticed.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable

_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK
"""IN_CLOEXEC and IN_NONBLOCK (inotify_init1(2))."""
_WRITTEN, _MOVED_IN, _CREATED, _DELETED = 0x008, 0x080, 0x100, 0x200
_READ_BYTES = 65536


def watch(directories: Iterable[str]) -> int | None:
    """A descriptor that becomes readable when files come, go or are written in one of these; None: not to be had."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd: int = libc.inotify_init1(_FLAGS)
    if fd < 0:
        return None
    for each in directories:
        libc.inotify_add_watch(fd, os.fsencode(each), _WRITTEN | _MOVED_IN | _CREATED | _DELETED)
    return fd


def forget(fd: int) -> None:
    """Take what it has told, so that it tells the next."""
    os.read(fd, _READ_BYTES)
