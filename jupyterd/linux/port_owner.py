"""Finds the process that holds a busy port, as far as the account may see it: from /proc only, bounded in work."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

_LISTEN = "0A"
"""TCP_LISTEN in the column "st" of /proc/net/tcp (proc(5))."""
_EVERY = ("0.0.0.0", "::")  # noqa: S104 - what another program has bound
INIT = 1
_LOOKS_MOST = 50_000
"""How many descriptors are examined at most: many processes on the machine must not block the supervisor."""

_OPTIONS_WITH_VALUE = ("-W", "-X", "--check-hash-based-pycs")
"""Options of the Python interpreter whose value is the next argument."""


@dataclass(frozen=True, slots=True)
class PortHolder:
    """Who listens there. `pid` is None where the process may not be seen; `program` is then "a process"."""

    pid: int | None
    program: str
    user: str

    def __str__(self) -> str:
        if self.pid is None:
            return f"a process of user {self.user}"
        return f"{self.program} (pid {self.pid}, user {self.user})"


def find(
    host: str, port: int, own: Collection[int] = (), proc: str = "/proc", first: Collection[int] = ()
) -> PortHolder | None:
    """Who keeps us from listening there, as far as it can be proved; None: nobody, or not to be seen. `own`: inodes of
    our own sockets, on other addresses of the port. Of several processes that share the socket it is one of `first`,
    and systemd, which keeps sockets for others, only where there is no other.
    """
    sockets = {inode: uid for inode, uid in _listeners(host, port, proc) if int(inode) not in own}
    if not sockets:
        return None
    pid = _owner({f"socket:[{inode}]" for inode in sockets}, proc, first)
    user = _user_name(next(iter(sockets.values())))
    return PortHolder(pid, "a process" if pid is None else _program(pid, proc), user)


def holder(host: str, port: int, own: Collection[int] = (), former: Collection[int] = (), proc: str = "/proc") -> str:
    """As `find`, in words: "python3 (pid 123, user alice)", "another jupyterd (...)", "a process of user root"; "" if
    unknown. `former`: inodes of sockets that were ours, which our server holds until it is replaced.
    """
    if any(int(inode) in former for inode, _ in _listeners(host, port, proc) if int(inode) not in own):
        return "the server that is being replaced"
    found = find(host, port, own, proc)
    return "" if found is None else str(found)


def _listeners(wanted: str, on: int, proc: str) -> Iterator[tuple[str, int]]:
    """Inode and uid of each listening socket that keeps another from listening there."""
    for table in ("tcp", "tcp6"):
        with suppress(OSError), open(f"{proc}/net/{table}", encoding="ascii") as file:
            next(file)  # the names of the columns
            for line in file:
                _, local, _, state, _, _, _, uid, _, inode, *_ = line.split(maxsplit=10)
                host, _, port = local.partition(":")
                if state == _LISTEN and int(port, 16) == on and _conflict(_address(host), wanted):
                    yield inode, int(uid)


def _conflict(held: str, wanted: str) -> bool:
    """Whether both addresses cannot be listened on at once. A socket on "::" may hold IPv4 too (ipv6(7))."""
    if (":" in held) != (":" in wanted):
        return held == _EVERY[1]
    return held == wanted or held in _EVERY or wanted in _EVERY


def _address(text: str) -> str:
    """An address as /proc/net/tcp has it: words of 32 bits in the machine's byte order, in hex. Mapped ones as IPv4."""
    packed = b"".join(int(text[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(text), 8))
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6  # noqa: PLR2004 - bytes of an IPv4 address
    return socket.inet_ntop(family, packed).removeprefix("::ffff:")


def _owner(links: set[str], proc: str, first: Collection[int]) -> int | None:
    """The pid of the first process that has one of these sockets open; None: not found."""
    looks = 0
    pids = [int(name) for name in os.listdir(proc) if name.isdigit()]
    for pid in sorted(pids, key=lambda pid: (pid not in first, pid == INIT, pid)):
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
