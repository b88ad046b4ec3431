"""Limits that end in "too many open files" and "cannot fork": of the server, of kernels, and of the whole machine."""

from __future__ import annotations

import re
import resource
from collections.abc import Iterator
from pathlib import Path

from jupyterd.cli.doctor import programs
from jupyterd.cli.doctor.facts import Subject
from jupyterd.cli.doctor.programs import NoAnswer
from jupyterd.cli.doctor.verdict import Verdict
from jupyterd.linux import proc, systemd

SUBJECT = "limits"
_FILES_LEAST = 4096
"""Of the hard limit: the server has a connection for each tab and kernel, and stops accepting at the limit."""
_NEAR = 0.9
_FILES = re.compile(r"^Max open files +(\S+) +(\S+)", re.MULTILINE)


def examine(what: Subject) -> Iterator[Verdict]:
    """Of the running server, else of this process, which is started in the same way as a server in a terminal."""
    pid = what.running.supervisor.process.pid if what.running is not None else 0
    most = hard_limit(proc.text(pid, "limits")) if pid else resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most is not None and 0 <= most < _FILES_LEAST:
        advice = "LimitNOFILE=65536 under [Service]: sudo systemctl edit jupyterd"
        if what.paths.mode == "foreground":
            advice = "type: ulimit -Hn   and raise nofile in /etc/security/limits.conf"
        yield Verdict(SUBJECT, "wrong", f"the server may open {most} files, which is few", (advice,))
    yield from of_machine(Path("/proc/sys/fs/file-nr").read_text())
    try:
        shown = programs.said("systemctl", "show", "--property=TasksCurrent,TasksMax", f"user-{what.base.uid}.slice")
    except NoAnswer:
        shown = ""  # a machine without systemd has no such limit
    yield from tasks(systemd.properties(shown))
    yield Verdict(SUBJECT, "good", f"{'unlimited' if most in (None, -1) else most} open files for the server")


def hard_limit(limits: str) -> int | None:
    """Of open files, from /proc/PID/limits; None: unlimited, or not to be seen."""
    found = _FILES.search(limits)
    return int(found[2]) if found and found[2].isdigit() else None


def of_machine(file_nr: str) -> Iterator[Verdict]:
    """From /proc/sys/fs/file-nr (proc_sys_fs(5)): open, free, most."""
    opened, _, most = (int(each) for each in file_nr.split()[:3])
    if opened > _NEAR * most:
        text = f"this machine has {opened} open files of at most {most}"
        yield Verdict(SUBJECT, "wrong", text, (f"sudo sysctl fs.file-max={2 * most}",))


def tasks(shown: dict[str, str]) -> Iterator[Verdict]:
    """Processes and threads of the account, from `systemctl show` of its slice."""
    current, most = shown.get("TasksCurrent", ""), shown.get("TasksMax", "")
    if current.isdigit() and most.isdigit() and int(current) > _NEAR * int(most):
        text = f"the account has {current} processes and threads of at most {most}: kernels cannot start more"
        yield Verdict(SUBJECT, "wrong", text, ("sudo systemctl edit user-.slice, write below [Slice] TasksMax=90%",))
