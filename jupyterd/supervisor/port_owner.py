"""Finds the process that holds a busy port, as far as the account may see it: from /proc only, bounded in work."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress

_LISTEN = "0A"
"""TCP_LISTEN in the column "st" of /proc/net/tcp (proc(5))."""
_LOOKS_MOST = 50_000
"""How many descriptors are examined at most: many processes on the machine must not block the supervisor."""

_OPTIONS_WITH_VALUE = ("-W", "-X", "--check-hash-based-pycs")
"""Options of the Python interpreter whose value is the next argument."""


def holder(port: int, proc: str = "/proc") -> str:
    """Like "python3 (pid 123, user alice)", "another jupyterd (...)", "a process of user root"; "" if unknown."""
    sockets = dict(_listeners(port, proc))
    if not sockets:
        return ""
    pid = _owner({f"socket:[{inode}]" for inode in sockets}, proc)
    user = _user_name(next(iter(sockets.values())))
    if pid is None:
        return f"a process of user {user}"
    return f"{_program(pid, proc)} (pid {pid}, user {user})"


def _listeners(port: int, proc: str) -> Iterator[tuple[str, int]]:
    """Inode and uid of each listening socket of the port."""
    for table in ("tcp", "tcp6"):
        with suppress(OSError), open(f"{proc}/net/{table}", encoding="ascii") as file:
            for line in file:
                _, local, _, state, _, _, _, uid, _, inode, *_ = line.split(maxsplit=10)
                if state == _LISTEN and local.endswith(f":{port:04X}"):
                    yield inode, int(uid)


def _owner(links: set[str], proc: str) -> int | None:
    """The pid of the first process that has one of these sockets open; None: not found."""
    looks = 0
    for pid in sorted(int(name) for name in os.listdir(proc) if name.isdigit()):
        with suppress(OSError):  # another account's, or gone
            for fd in os.listdir(f"{proc}/{pid}/fd"):
                looks += 1
                with suppress(OSError):  # closed meanwhile
                    if os.readlink(f"{proc}/{pid}/fd/{fd}") in links:
                        return pid
        if looks > _LOOKS_MOST:
            break
    return None


def _program(pid: int, proc: str) -> str:
    with suppress(OSError):
        with open(f"{proc}/{pid}/cmdline", "rb") as file:
            if is_jupyterd(file.read(4096).decode(errors="replace").split("\0")):
                return "another jupyterd"
        with open(f"{proc}/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    return "a process"


def is_jupyterd(argv: Sequence[str]) -> bool:
    """Whether a command line is our supervisor's or server's: `python [OPTIONS] -m jupyterd[.MODULE] ...`, or `python
    [OPTIONS] .../jupyterd/supervisor/__main__.py ...` (cli/run.py). No directory and no other argument counts.
    """
    if not argv or not os.path.basename(argv[0]).startswith("python"):
        return False
    rest = iter(argv[1:])
    for word in rest:
        if word == "-m":
            return next(rest, "").partition(".")[0] == "jupyterd"
        if not word.startswith("-") or word == "-c":
            return word.endswith("/jupyterd/supervisor/__main__.py")
        if word in _OPTIONS_WITH_VALUE:
            next(rest, None)
    return False


def _user_name(uid: int) -> str:
    """The user's name from /etc/passwd alone, because a directory service may block; else the number."""
    with suppress(OSError), open("/etc/passwd", encoding="utf-8", errors="replace") as file:
        for line in file:
            name, _, number, *_ = line.split(":")
            if number == str(uid):
                return name
    return str(uid)
