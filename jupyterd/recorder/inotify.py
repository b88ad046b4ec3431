"""Tells when files of a directory come or go: inotify(7), because nothing here looks at a clock to find out."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_CLOSE_WRITE, _MOVED_TO, _DELETE, _MOVED_FROM = 0x8, 0x80, 0x200, 0x40
_BUFFER = 65536


def watch(directory: Path) -> int:
    """A descriptor that is readable after a change. OSError when the system has no watch left."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1")
    mask = _CLOSE_WRITE | _MOVED_TO | _DELETE | _MOVED_FROM
    if libc.inotify_add_watch(descriptor, os.fsencode(directory), mask) < 0:
        os.close(descriptor)
        raise OSError(ctypes.get_errno(), f"inotify_add_watch {directory}")
    return descriptor


def forget(descriptor: int) -> None:
    """Read what it has to say; that something has changed is all that is wanted."""
    try:
        os.read(descriptor, _BUFFER)
    except BlockingIOError:
        return
