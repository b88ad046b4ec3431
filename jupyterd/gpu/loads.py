"""How much processor time a kernel has used, with all that it started. Files only; None is "unknown".

From its unit's cgroup (v2), which also counts what has ended; elsewhere (a detached kernel, cgroup v1) from every
living process that is in its unit or its session. Asked only when culling is on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

_UNIT = re.compile(r"/jupyterd-kernel-([^/]+)\.service(?:/|$)", re.MULTILINE)
_UNIFIED = "0::"
"""How /proc/PID/cgroup (cgroups(7)) marks the hierarchy of version 2."""
_SESSION, _CPU_FIRST, _CPU_LAST = 3, 11, 14
"""Places after the closing parenthesis of /proc/PID/stat: session, and utime, stime, cutime, cstime."""


def cpu_s(kernels: Iterable[tuple[str, int]], root: str = "/") -> dict[str, float | None]:
    """Seconds by kernel, each given with the pid of one of its processes or its own."""
    place = Path(root)
    found: dict[str, float | None] = {}
    left: dict[str, int] = {}
    for kernel, pid in kernels:
        counted = _of_cgroup(place, kernel, pid)
        if counted is None:
            left[kernel] = pid
        found[kernel] = counted
    return {**found, **_of_processes(place, left)} if left else found


def _of_cgroup(place: Path, kernel: str, pid: int) -> float | None:
    for line in _text(place / "proc" / str(pid) / "cgroup").splitlines():
        match = _UNIT.search(line)
        if line.startswith(_UNIFIED) and match is not None and match[1] == kernel:
            unit = line[len(_UNIFIED) : match.end()].rstrip("/")
            told = _text(place / "sys/fs/cgroup" / unit.lstrip("/") / "cpu.stat")
            usage = re.search(r"^usage_usec (\d+)$", told, re.MULTILINE)
            return None if usage is None else int(usage[1]) / 1e6
    return None


def _of_processes(place: Path, kernels: dict[str, int]) -> dict[str, float | None]:
    """One walk over all processes, for all of them."""
    sessions = {}
    for kernel, pid in kernels.items():
        numbers = _numbers(place, pid)
        if numbers is not None:
            sessions[numbers[_SESSION]] = kernel
    ticks: dict[str, int] = {}
    for entry in (place / "proc").iterdir():
        if not entry.name.isdigit() or (numbers := _numbers(place, int(entry.name))) is None:
            continue
        match = _UNIT.search(_text(entry / "cgroup"))
        kernel = match[1] if match is not None else sessions.get(numbers[_SESSION], "")
        if kernel in kernels:
            ticks[kernel] = ticks.get(kernel, 0) + sum(numbers[_CPU_FIRST : _CPU_LAST + 1])
    per_s = os.sysconf("SC_CLK_TCK")
    return {kernel: ticks[kernel] / per_s if kernel in ticks else None for kernel in kernels}


def _numbers(place: Path, pid: int) -> tuple[int, ...] | None:
    """With 0 for the state."""
    fields = _text(place / "proc" / str(pid) / "stat").rpartition(")")[2].split()
    return (0, *map(int, fields[1 : _CPU_LAST + 1])) if len(fields) > _CPU_LAST else None


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
