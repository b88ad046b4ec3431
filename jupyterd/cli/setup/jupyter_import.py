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

from jupyterd.cli.setup import jupyter_import_child
from jupyterd.linux.accounts import Account
from jupyterd.settings.imported import NAMES, Assignment, Odd, Taken, taken

DEADLINE_S = 30.0
_LARGEST_BYTES = 1 << 20
_END_S = 5.0


def found(where: Path) -> tuple[Path, ...]:
    """The configuration files in a directory, or the one file; () if there is none. May raise PermissionError."""
    if where.is_dir():
        return tuple(file for name in NAMES for end in (".py", ".json") if (file := where / f"{name}{end}").is_file())
    return (where,) if where.is_file() else ()


def take(files: tuple[Path, ...], mine: Account, deadline_s: float = DEADLINE_S) -> Taken:
    """The settings that these files contain. A file that cannot be read becomes a remark."""
    said: list[Assignment] = []
    remarks: list[str] = []
    for file in files:
        answer = _evaluated(file, mine, deadline_s)
        if "error" in answer:
            remarks.append(f"{file} is ignored: it could not be read as Jupyter reads it ({answer['error']})")
            continue
        for owner, section in answer["classes"].items():
            for key, value in section.items():
                kind = jupyter_import_child.odd(value)
                said.append(Assignment(str(file), owner, key, value if kind is None else Odd(kind)))
    made = taken(said, mine.home)
    return Taken(made.values, made.places, (*remarks, *made.remarks))


def _evaluated(file: Path, mine: Account, deadline_s: float) -> dict[str, Any]:
    """The answer of jupyter_import_child, which gets no terminal, no variable and no group of root."""
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
        process.wait(deadline_s)
    except (TimeoutError, subprocess.TimeoutExpired):
        return {"error": f"it did not finish within {deadline_s:.0f} s"}
    finally:
        os.close(reader)
        _end(process)
    try:
        answer: dict[str, Any] = json.loads(data)
    except ValueError:
        return {"error": "it ended the process that read it"}
    return answer


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
    """Kill the process and everything else in its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_END_S)
