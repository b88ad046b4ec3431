"""What a kernel's process wrote to its standard output and error: `ID.log` beside its record, kept short.

A file and not the journal, which an account below uid 1000, or one whose journal is not kept on disk, cannot read
(journald.conf(5), SplitMode=): why a kernel does not start must be told in any case.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from jupyterd.text import cleaned

MAX_BYTES = 1 << 20
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_TAIL_BYTES, _TAIL_LINES = 8192, 12


def create(directory: Path, kernel_id: str) -> Path:
    """The file (0600), made if it is not there. OSError."""
    path = directory / f"{kernel_id}.log"
    # O_APPEND: whoever shortens the file from outside leaves no hole in it
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    return path


def size(directory: Path, kernel_id: str) -> int:
    """Bytes in it; 0 where there is none."""
    with contextlib.suppress(OSError):
        return (directory / f"{kernel_id}.log").stat().st_size
    return 0


def last_lines(directory: Path, kernel_id: str, begin: int = 0) -> list[str]:
    """The last lines that were written after the offset `begin`, at most 12, fit for a terminal; [] for none."""
    with contextlib.suppress(OSError), (directory / f"{kernel_id}.log").open("rb") as file:
        file.seek(max(begin, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
        return [str(cleaned(_COLOUR.sub("", each))) for each in lines if each.strip()][-_TAIL_LINES:]
    return []


def trim(directory: Path, kernel_id: str) -> None:
    """Keep the last half of a log that exceeds MAX_BYTES; called whenever the server inspects the kernel."""
    with contextlib.suppress(OSError):
        path = directory / f"{kernel_id}.log"
        if path.stat().st_size <= MAX_BYTES:
            return
        with path.open("r+b") as file:
            file.seek(-MAX_BYTES // 2, os.SEEK_END)
            rest = file.read()
            file.seek(0)
            file.truncate()
            file.write(b"[...]\n" + rest.partition(b"\n")[2])
