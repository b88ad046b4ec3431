"""Whose process that is (its account, its kernel, the kernel's notebook), and how much processor time a kernel used.

Files only, read when they are needed; it does not know NVML. `ID.pid` is written by launch/wrapper.py, and the table is
jupyter_server's SessionManager's.
"""

from __future__ import annotations

import os
import pwd
import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from jupyterd.gpu.details import User
from jupyterd.linux import kept, proc
from jupyterd.linux.proc import Identity
from jupyterd.protocol import documents
from jupyterd.protocol.gpu_frames import GpuProcess
from jupyterd.protocol.kernel_unit import KernelUnit, kernel_unit

_GENERATIONS_MAX = 64
_LOCKED_S = 0.5


@dataclass(frozen=True, slots=True)
class _Known:
    """Facts about a process that do not change while it lives."""

    started: int
    user: str | None
    kernel: str | None
    command: str | None


class Attribution:
    """`records` is the kernels' records directory, `sessions` jupyter_server's database, `notebooks` the server's root
    directory. Without records and sessions a process has an owner, and no kernel or notebook. `root` is "/" but in
    tests.
    """

    def __init__(self, records: Path | None, sessions: Path | None, notebooks: Path, root: str = "/") -> None:
        self._records = records
        self._sessions = sessions
        self._base = notebooks
        self._root = Path(root)
        self._proc = str(self._root / "proc")
        self._known: dict[int, _Known] = {}
        self._paths: dict[str, str] = {}
        self._kernels: dict[int, tuple[int, str]] = {}

    def refresh(self) -> None:
        """Call before a round of questions: forgets processes that have ended, and reads records and sessions again."""
        self._known = {
            pid: known for pid, known in self._known.items() if proc.started(pid, self._proc) == known.started
        }
        self._paths = self._notebooks()
        self._kernels = self._recorded()

    def who(self, user: User, utilisation: float | None) -> GpuProcess | None:
        """The process of `user` with its owner, kernel and notebook; `utilisation` in per cent is passed through.

        None when there is no such process: some drivers list processes that ended long ago.
        """
        started = proc.started(user.pid, self._proc)
        if started is None:
            return None
        known = self._known.get(user.pid)
        if known is None or known.started != started:
            name, owner = self._name_and_owner(user.pid)
            known = self._known[user.pid] = _Known(started, owner, self._kernel(user.pid), name)
        notebook = None if known.kernel is None else self._paths.get(known.kernel)
        return GpuProcess(
            user.pid, user.memory_bytes, utilisation, known.user, known.kernel, notebook, known.command, user.instance
        )

    def cpu_s(self, kernels: Iterable[tuple[str, int]]) -> dict[str, float | None]:
        """Processor seconds that each kernel has used since it began, with all that it started; None: unknown.

        `kernels` are (id, pid of one of its processes). The cgroup v2 of its unit also counts what has ended; elsewhere
        (a detached kernel, cgroup v1) its living processes are added up.
        """
        found: dict[str, float | None] = {}
        uncounted: dict[str, int] = {}
        for kernel, pid in kernels:
            own = next((each for each, (_, recorded) in self._kernels.items() if recorded == kernel), pid)
            counted = self._cgroup_cpu_s(kernel, own)
            if counted is None:
                uncounted[kernel] = own
            found[kernel] = counted
        return {**found, **self._process_cpu_s(uncounted)} if uncounted else found

    def _cgroup_cpu_s(self, kernel: str, pid: int) -> float | None:
        unit = self._unit(pid)
        if unit is None or unit.kernel != kernel or not unit.unified:
            return None
        stat = self._root / "sys/fs/cgroup" / unit.cgroup.lstrip("/") / "cpu.stat"
        usage = re.search(r"^usage_usec (\d+)$", _text(stat), re.MULTILINE)
        return None if usage is None else int(usage[1]) / 1e6

    def _process_cpu_s(self, kernels: dict[str, int]) -> dict[str, float | None]:
        """Of every living process in the kernel's unit or in its session, in one walk over /proc."""
        sessions = {
            stat.session: kernel for kernel, pid in kernels.items() if (stat := proc.stat(pid, self._proc)) is not None
        }
        ticks: dict[str, int] = {}
        for pid in proc.pids(self._proc):
            if (stat := proc.stat(pid, self._proc)) is None:
                continue
            unit = self._unit(pid)
            kernel = unit.kernel if unit is not None else sessions.get(stat.session, "")
            if kernel in kernels:
                ticks[kernel] = ticks.get(kernel, 0) + stat.cpu
        per_s = os.sysconf("SC_CLK_TCK")
        return {kernel: ticks[kernel] / per_s if kernel in ticks else None for kernel in kernels}

    def _unit(self, pid: int) -> KernelUnit | None:
        return kernel_unit(proc.text(pid, "cgroup", self._proc), os.getuid())

    def _kernel(self, pid: int) -> str | None:
        """The id of the kernel that the process belongs to: that of its unit, which holds every descendant; without a
        unit, that of the first ancestor on record, or of the recorded session leader when the ancestors have ended.
        """
        if (unit := self._unit(pid)) is not None:
            return unit.kernel
        for _ in range(_GENERATIONS_MAX):
            stat = proc.stat(pid, self._proc)
            if stat is None or not stat.is_alive:
                return None
            for each, exact in ((pid, stat.started), (stat.session, None)):
                started, kernel = self._kernels.get(each, (None, None))
                if kernel is not None and (exact is None or started == exact):
                    return kernel
            pid = stat.parent
            if pid <= 1:
                return None
        return None

    def _notebooks(self) -> dict[str, str]:
        """Absolute path of the notebook by kernel id; the last answer while the database is locked or damaged."""
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
        """(start time, kernel id) by pid, of the recorded kernels that are alive."""
        found = {}
        for file in self._records.glob("*.pid") if self._records is not None else ():
            try:
                record = documents.structured(documents.document(kept.read(file)), Identity)
            except (OSError, ValueError):
                continue
            pid, started = record.pid, record.started
            if proc.started(pid, self._proc) == started:  # after a reboot it is another process, or none
                found[pid] = (started, file.stem)
        return found

    def _name_and_owner(self, pid: int) -> tuple[str | None, str | None]:
        """(program name, account name or uid) from /proc/PID/status; the owner of /proc/PID itself is root where a
        process is not dumpable (proc(5)).
        """
        lines = dict(
            line.split(":\t", 1) for line in proc.text(pid, "status", self._proc).splitlines() if ":\t" in line
        )
        name = "".join(letter for letter in lines.get("Name", "") if letter.isprintable())
        uid = lines.get("Uid", "").split("\t")[0]
        if not uid.isdigit():
            return name or None, None
        try:
            return name or None, pwd.getpwuid(int(uid)).pw_name
        except KeyError:
            return name or None, uid


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except OSError:
        return ""
