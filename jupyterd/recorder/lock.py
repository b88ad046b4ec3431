"""The lock that says which recorder works in a spool directory; its file names the process."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict
from pathlib import Path

from jupyterd.linux import kept, proc


class Lock:
    """Owns a descriptor of the lock file (flock(2))."""

    def __init__(self, path: Path) -> None:
        """BlockingIOError: another recorder has it. OSError: the file cannot be made at present."""
        self._path = path
        self._fd = self._taken()

    def close(self) -> None:
        """Give it up."""
        os.close(self._fd)

    def is_ours(self) -> bool:
        """Whether the file that others see is the one that is locked here. One that somebody has removed is made again;
        False when another recorder has done so first.
        """
        with contextlib.suppress(OSError):
            seen, held = self._path.lstat(), os.fstat(self._fd)
            if (seen.st_dev, seen.st_ino) == (held.st_dev, held.st_ino):
                return True
        try:
            fd = self._taken()
        except BlockingIOError:
            return False
        except OSError:  # a full disk: nobody else can have made one either
            return True
        os.close(self._fd)
        self._fd = fd
        return True

    def _taken(self) -> int:
        fd = kept.open_locked(self._path)
        with contextlib.suppress(OSError):  # a full disk: only `jupyterd kernels stop` looks into it
            os.ftruncate(fd, 0)
            os.pwrite(fd, json.dumps(asdict(proc.this_process())).encode(), 0)
        return fd
