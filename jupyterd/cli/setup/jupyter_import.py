"""Finds a Jupyter configuration of the account and has a process read it, as the account and with a time limit.

Root evaluates none of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from jupyterd.cli import as_account
from jupyterd.cli.setup import jupyter_import_child
from jupyterd.linux.accounts import Account
from jupyterd.settings.imported import NAMES, Assignment, Odd, Taken, taken
from jupyterd.text import printable

DEADLINE_S = 30.0
_LARGEST_BYTES = 1 << 20
_END_S = 5.0


def found(where: Path, mine: Account) -> tuple[Path, ...]:
    """The configuration files in a directory, or the one file, as the account sees them; () if there is none. May raise
    OSError.
    """

    def look() -> tuple[str, ...]:
        names = [f"{name}{end}" for name in NAMES for end in (".py", ".json")] if where.is_dir() else [""]
        return tuple(str(where / name) for name in names if (where / name).is_file())

    return tuple(map(Path, as_account.ask(mine, look, tuple[str, ...])))


def take(files: tuple[Path, ...], mine: Account, deadline_s: float = DEADLINE_S) -> Taken:
    """The settings that these files contain. A file that cannot be read becomes a remark."""
    said: list[Assignment] = []
    remarks: list[str] = []
    for file in files:
        answer = _evaluated(file, mine, deadline_s)
        if isinstance(answer, str):
            remarks.append(f"{file} is ignored: it could not be read as Jupyter reads it ({printable(answer)})")
            continue
        for owner, section in answer.items():
            for key, value in section.items():
                kind = jupyter_import_child.odd(value)
                said.append(Assignment(str(file), owner, key, value if kind is None else Odd(kind)))
    made = taken(said, mine.home)
    return Taken(made.values, made.places, (*remarks, *made.remarks))


def _evaluated(file: Path, mine: Account, deadline_s: float) -> dict[str, dict[str, Any]] | str:
    """What jupyter_import_child found, class -> key -> value, or why it found nothing. It runs a program of the
    account's: it gets no terminal, no variable, no group and no memory of root's, and its answer is checked.
    """
    reader, writer = os.pipe()
    other = os.geteuid() != mine.uid
    argv = [sys.executable, "-I", "-m", "jupyterd.cli.setup.jupyter_import_child", str(writer), str(file)]
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            pass_fds=(writer,), start_new_session=True, cwd="/",
            env={"HOME": mine.home, "USER": mine.name, "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"},
            user=mine.uid if other else None, group=mine.gid if other else None,
            extra_groups=os.getgrouplist(mine.name, mine.gid) if other else None,
        )  # fmt: skip
    finally:
        os.close(writer)
    try:
        data = _all(reader, time.monotonic() + deadline_s)
    except TimeoutError:
        return f"it did not finish within {deadline_s:.0f} s"
    finally:
        os.close(reader)
        _end(process)
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        return "it ended the process that read it"
    match answer:
        case {"error": str(text)}:
            return text
        case {"classes": dict(classes)} if all(isinstance(each, dict) for each in classes.values()):
            return classes
        case _:
            return "it changed what the process that read it answered"


def _all(reader: int, deadline: float) -> bytes:
    data = b""
    while True:
        if not select.select([reader], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError
        part = os.read(reader, 65536)
        data += part
        if not part or len(data) > _LARGEST_BYTES:
            return data


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the process, which nobody has waited for yet, and everything else in its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_END_S)
