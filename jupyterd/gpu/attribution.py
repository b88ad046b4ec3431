"""Whose process that is: its account, its kernel, the kernel's notebook. Files only, read when they are needed.

It does not know NVML. The unit's name is launch/user_unit.py's, `ID.pid` is written by launch/wrapper.py, and the table
is jupyter_server's SessionManager's.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from jupyterd.gpu.details import User
from jupyterd.protocol.gpu_frames import GpuProcess

_GENERATIONS_MAX = 64
_LOCKED_S = 0.5
_PPID, _SESSION, _STARTED = 1, 3, 19
"""Places after the closing parenthesis of /proc/PID/stat (proc_pid_stat(5))."""


@dataclass(frozen=True, slots=True)
class _Known:
    """What stays true of a process as long as it lives."""

    started: int
    user: str | None
    kernel: str | None
    command: str | None


class Attribution:
    """`records` is where the kernels' records lie, `sessions` the server's data base, `notebooks` its root directory.

    Without them every process is somebody's and no kernel's.
    """

    def __init__(self, records: Path | None, sessions: Path | None, notebooks: Path, root: str = "/") -> None:
        self._records = records
        self._sessions = sessions
        self._base = notebooks
        self._proc = Path(root) / "proc"
        # Of our own user manager: any account may give its units any name.
        self._unit = re.compile(
            rf"/user@{os.getuid()}\.service/(?:.*/)?jupyterd-kernel-([^/]+)\.service(?:/|$)", re.MULTILINE
        )
        self._known: dict[int, _Known] = {}
        self._paths: dict[str, str] = {}
        self._kernels: dict[int, tuple[int, str]] = {}

    def refresh(self) -> None:
        """Before a round of questions: who is gone is forgotten, notebooks may have other names now."""
        self._known = {pid: known for pid, known in self._known.items() if self._started(pid) == known.started}
        self._paths = self._notebooks()
        self._kernels = self._recorded()

    def who(self, user: User, utilisation: float | None) -> GpuProcess | None:
        """None when there is no such process here: some drivers tell of those that are long gone."""
        stat = self._stat(user.pid)
        if stat is None:
            return None
        known = self._known.get(user.pid)
        if known is None or known.started != stat[_STARTED]:
            name, owner = self._name_and_owner(user.pid)
            known = self._known[user.pid] = _Known(stat[_STARTED], owner, self._kernel(user.pid), name)
        notebook = None if known.kernel is None else self._paths.get(known.kernel)
        return GpuProcess(
            user.pid, user.memory_bytes, utilisation, known.user, known.kernel, notebook, known.command, user.instance
        )

    def own_pid(self, kernel: str) -> int | None:
        """Of the kernel itself, where it is on record and lives."""
        return next((pid for pid, (_, found) in self._kernels.items() if found == kernel), None)

    def _kernel(self, pid: int) -> str | None:
        """By its unit, which holds for every descendant; else by its parents up to a kernel on record, whose session
        also holds for those whose parents are gone.
        """
        found = self._unit.search(self._text(pid, "cgroup"))
        if found is not None:
            return found[1]
        for _ in range(_GENERATIONS_MAX):
            stat = self._stat(pid)
            if stat is None:
                return None
            for each, exact in ((pid, stat[_STARTED]), (stat[_SESSION], None)):
                started, kernel = self._kernels.get(each, (None, None))
                if kernel is not None and (exact is None or started == exact):
                    return kernel
            pid = stat[_PPID]
            if pid <= 1:
                return None
        return None

    def _notebooks(self) -> dict[str, str]:
        """Kernel -> absolute path of its notebook. What cannot be read just now is as it was."""
        if self._sessions is None or not self._sessions.exists():
            return {}
        try:
            with closing(
                sqlite3.connect(f"file:{quote(str(self._sessions))}?mode=ro", uri=True, timeout=_LOCKED_S)
            ) as opened:
                rows = opened.execute("SELECT kernel_id, path FROM session WHERE type = 'notebook'").fetchall()
        except sqlite3.Error:
            return self._paths
        return {str(kernel): str(self._base / str(path)) for kernel, path in rows if kernel and path}

    def _recorded(self) -> dict[int, tuple[int, str]]:
        """By pid the start time and kernel of those that live now."""
        found = {}
        for file in self._records.glob("*.pid") if self._records is not None else ():
            try:
                told = json.loads(file.read_bytes())
                pid, started = int(told["pid"]), int(told["started"])
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if self._started(pid) == started:  # after a reboot it is another process, or none
                found[pid] = (started, file.stem)
        return found

    def _started(self, pid: int) -> int | None:
        stat = self._stat(pid)
        return None if stat is None else stat[_STARTED]

    def _stat(self, pid: int) -> tuple[int, ...] | None:
        """The numbers after the name, with 0 for the state; None: there is no such process, or only its zombie."""
        fields = self._text(pid, "stat").rpartition(")")[2].split()
        if len(fields) <= _STARTED or fields[0] in {"Z", "X"}:
            return None
        return (0, *(int(each) for each in fields[1 : _STARTED + 1]))

    def _name_and_owner(self, pid: int) -> tuple[str | None, str | None]:
        """From status: the owner of /proc/PID itself is root where a process has dropped its rights."""
        lines = dict(line.split(":\t", 1) for line in self._text(pid, "status").splitlines() if ":\t" in line)
        name = "".join(letter for letter in lines.get("Name", "") if letter.isprintable())
        uid = lines.get("Uid", "").split("\t")[0]
        if not uid.isdigit():
            return name or None, None
        try:
            return name or None, pwd.getpwuid(int(uid)).pw_name
        except KeyError:
            return name or None, uid

    def _text(self, pid: int, file: str) -> str:
        try:
            return (self._proc / str(pid) / file).read_text("utf-8", "replace")
        except OSError:
            return ""
