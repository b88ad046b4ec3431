"""Notices that something changed in a directory, without looking: the kernel says so (inotify(7))."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from pathlib import Path

_CLOSE_WRITE, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x008, 0x040, 0x080, 0x100, 0x200
_BUFFER_BYTES = 65536


def watch(directories: Iterable[Path | str]) -> int:
    """A descriptor, the caller's to close, that is readable after files came, went or were written in one of these.
    OSError when none of them can be watched: it is not there, or the system has no watch left.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1")
    mask = _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
    watched = [each for each in directories if libc.inotify_add_watch(descriptor, os.fsencode(each), mask) >= 0]
    if not watched:
        os.close(descriptor)
        raise OSError(ctypes.get_errno(), "inotify_add_watch")
    return descriptor


def drain(descriptor: int) -> None:
    """Read and discard the pending events: only that something has changed matters."""
    try:
        os.read(descriptor, _BUFFER_BYTES)
    except BlockingIOError:
        return
