"""Reading what an account has written, for a reader that may be root.

No waiting, no links followed, nothing that a terminal obeys.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

LARGEST_BYTES = 1 << 20
"""A snapshot of 100 GPUs and addresses is a tenth of it."""


def read(file: Path, owner: int | None = None) -> bytes:
    """The contents of a regular file of sane size; never waits for a FIFO's writer, never follows a link. ValueError
    for another one, or one of another owner.
    """
    fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with os.fdopen(fd, "rb") as opened:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("not a regular file")
        if owner is not None and found.st_uid != owner:
            raise ValueError("another account's file")
        if found.st_size > LARGEST_BYTES:
            raise ValueError(f"{found.st_size} bytes are too many for a status snapshot")
        return opened.read(LARGEST_BYTES)


def clean(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Without what a terminal would obey: the account must not be able to write escape sequences to root's screen."""
    match value:
        case str():
            return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in value)
        case list():
            return [clean(each) for each in value]
        case dict():
            return {clean(name): clean(each) for name, each in value.items()}
        case _:
            return value
