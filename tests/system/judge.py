"""Runs in a machine, as root: reads what strace(1) wrote (-ff -y) and names every call by which a process with root's
effective uid opened, changed, removed, ran or signalled something that the account could have changed.

python3 -I judge.py DIRECTORY ACCOUNT: prints JSON. Standard library only.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path

_CALL = re.compile(r"([a-z0-9_]+)\(")
_PATH = re.compile(r'(?:(?:AT_FDCWD|[0-9]+)<(?P<at>[^>]*)>, )?"(?P<path>(?:[^"\\]|\\.)*)"')
_PID = re.compile(r"pid:([0-9]+)|^-?([0-9]+)")
_FORKS = frozenset({"clone", "clone3", "fork", "vfork"})
_SIGNALS = frozenset({"kill", "tkill", "tgkill", "pidfd_send_signal", "pidfd_open"})
_BECOMES = {"setuid": 0, "setreuid": 1, "setresuid": 1}
"""Call -> which argument is the effective uid."""
_ONE_PATH = frozenset({"execve", "setxattr", "removexattr"})
"""Their further texts are no paths."""


@dataclass
class Seen:
    """`files` has the trace of each process that has not been read yet."""

    files: dict[int, Path]
    processes: frozenset[int]
    touched: set[tuple[str, str]] = field(default_factory=set)
    found: set[str] = field(default_factory=set)
    root: int = 0
    account: int = 0

    def read(self, pid: int, euid: int) -> None:
        """The calls of one process, which began with this effective uid, and of those that it started."""
        for line in self.files.pop(pid).read_text(errors="replace").splitlines():
            call = _CALL.match(line)
            if call is None:
                continue
            name, arguments = call[1], line[call.end() :]
            result = line.rpartition("= ")[2].split(" ")[0].partition("<")[0]
            if name in _FORKS:
                if result.isdigit() and int(result) in self.files:
                    self.read(int(result), euid)
            elif name in _BECOMES:
                new = arguments.split(",")[_BECOMES[name]].strip(" ").partition(")")[0]
                euid = euid if new == "-1" or result != "0" else int(new)
            else:
                self.root, self.account = self.root + (euid == 0), self.account + (euid != 0)
                if euid == 0:
                    self._of_root(name, arguments, line)

    def _of_root(self, name: str, arguments: str, line: str) -> None:
        if name in _SIGNALS:
            target = _PID.search(arguments)
            if target is None or int(target[1] or target[2]) not in self.processes:
                self.found.add(line)
            return
        paths = list(_PATH.finditer(arguments))
        for each in paths[:1] if name in _ONE_PATH else paths:
            path = str(Path(each["at"] or "/root", each["path"]))
            if not path.startswith(("/proc/self/", "/proc/thread-self/", "/proc/net/", "/dev/fd/")):
                self.touched.add((name, path))


def changeable(path: str, uid: int) -> str | None:
    """The first part of the path that the account, which this process is, owns or could change, or None."""
    parts = Path(os.path.normpath(path)).parts
    for count in range(2, len(parts) + 1):
        part = Path(*parts[:count])
        try:
            facts = part.lstat()
        except OSError:
            continue
        if facts.st_uid == uid:
            return str(part)
        sticky = facts.st_mode & stat.S_ISVTX
        if sticky or stat.S_ISLNK(facts.st_mode) or stat.S_ISCHR(facts.st_mode) or stat.S_ISSOCK(facts.st_mode):
            continue  # may be used, and stays what it is
        if os.access(part, os.W_OK):
            return str(part)
    return None


def main(directory: Path, name: str) -> None:
    """Print what was found, and how much was looked at."""
    files = {int(each.suffix[1:]): each for each in directory.glob("t.*")}
    seen = Seen(files, frozenset(files))
    while files:
        seen.read(min(files), 0)
    account = pwd.getpwnam(name)
    os.setgroups(os.getgrouplist(name, account.pw_gid))
    os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
    os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    for call, path in sorted(seen.touched):
        for each in (path, os.path.realpath(path)):
            part = changeable(each, account.pw_uid)
            if part is not None:
                seen.found.add(f"{call} {path}: {part}")
    counts = {"processes": len(seen.processes), "root": seen.root, "account": seen.account}
    print(json.dumps({"found": sorted(seen.found), **counts}))  # noqa: T201 - it is a program


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
