"""For what a process waits, as /proc shows it: /proc/PID/task/TID/syscall and wchan (proc(5)).

For a process that does not answer, so nothing here may wait: /proc only, and no path is opened or looked at. Without
pathlib: the supervisor imports this module and must stay small.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import NamedTuple

from jupyterd.linux import mounts, proc

_BY_DESCRIPTOR, _BY_PATH, _BY_PATH_AT = "descriptor", "path", "path at"
_X86_64 = {
    0: ("read", _BY_DESCRIPTOR), 1: ("write", _BY_DESCRIPTOR), 2: ("open", _BY_PATH), 3: ("close", _BY_DESCRIPTOR),
    4: ("stat", _BY_PATH), 5: ("fstat", _BY_DESCRIPTOR), 6: ("lstat", _BY_PATH), 8: ("lseek", _BY_DESCRIPTOR),
    17: ("pread64", _BY_DESCRIPTOR), 18: ("pwrite64", _BY_DESCRIPTOR), 19: ("readv", _BY_DESCRIPTOR),
    20: ("writev", _BY_DESCRIPTOR), 21: ("access", _BY_PATH), 40: ("sendfile", _BY_DESCRIPTOR),
    74: ("fsync", _BY_DESCRIPTOR), 75: ("fdatasync", _BY_DESCRIPTOR), 76: ("truncate", _BY_PATH),
    77: ("ftruncate", _BY_DESCRIPTOR), 78: ("getdents", _BY_DESCRIPTOR), 80: ("chdir", _BY_PATH),
    82: ("rename", _BY_PATH), 83: ("mkdir", _BY_PATH), 84: ("rmdir", _BY_PATH), 86: ("link", _BY_PATH),
    87: ("unlink", _BY_PATH), 88: ("symlink", _BY_PATH), 89: ("readlink", _BY_PATH), 90: ("chmod", _BY_PATH),
    92: ("chown", _BY_PATH), 137: ("statfs", _BY_PATH), 138: ("fstatfs", _BY_DESCRIPTOR),
    191: ("getxattr", _BY_PATH), 194: ("listxattr", _BY_PATH), 217: ("getdents64", _BY_DESCRIPTOR),
    257: ("openat", _BY_PATH_AT), 258: ("mkdirat", _BY_PATH_AT), 262: ("newfstatat", _BY_PATH_AT),
    263: ("unlinkat", _BY_PATH_AT), 264: ("renameat", _BY_PATH_AT), 267: ("readlinkat", _BY_PATH_AT),
    268: ("fchmodat", _BY_PATH_AT), 269: ("faccessat", _BY_PATH_AT), 280: ("utimensat", _BY_PATH_AT),
    285: ("fallocate", _BY_DESCRIPTOR), 316: ("renameat2", _BY_PATH_AT), 326: ("copy_file_range", _BY_DESCRIPTOR),
    332: ("statx", _BY_PATH_AT), 439: ("faccessat2", _BY_PATH_AT),
}  # fmt: skip
_AARCH64 = {
    8: ("getxattr", _BY_PATH), 11: ("listxattr", _BY_PATH), 34: ("mkdirat", _BY_PATH_AT),
    35: ("unlinkat", _BY_PATH_AT), 38: ("renameat", _BY_PATH_AT), 43: ("statfs", _BY_PATH),
    44: ("fstatfs", _BY_DESCRIPTOR), 45: ("truncate", _BY_PATH), 46: ("ftruncate", _BY_DESCRIPTOR),
    47: ("fallocate", _BY_DESCRIPTOR), 48: ("faccessat", _BY_PATH_AT), 49: ("chdir", _BY_PATH),
    53: ("fchmodat", _BY_PATH_AT), 56: ("openat", _BY_PATH_AT), 57: ("close", _BY_DESCRIPTOR),
    61: ("getdents64", _BY_DESCRIPTOR), 62: ("lseek", _BY_DESCRIPTOR), 63: ("read", _BY_DESCRIPTOR),
    64: ("write", _BY_DESCRIPTOR), 65: ("readv", _BY_DESCRIPTOR), 66: ("writev", _BY_DESCRIPTOR),
    67: ("pread64", _BY_DESCRIPTOR), 68: ("pwrite64", _BY_DESCRIPTOR), 71: ("sendfile", _BY_DESCRIPTOR),
    78: ("readlinkat", _BY_PATH_AT), 79: ("newfstatat", _BY_PATH_AT), 80: ("fstat", _BY_DESCRIPTOR),
    82: ("fsync", _BY_DESCRIPTOR), 83: ("fdatasync", _BY_DESCRIPTOR), 88: ("utimensat", _BY_PATH_AT),
    276: ("renameat2", _BY_PATH_AT), 285: ("copy_file_range", _BY_DESCRIPTOR), 291: ("statx", _BY_PATH_AT),
    439: ("faccessat2", _BY_PATH_AT),
}  # fmt: skip
_CALLS = {"x86_64": _X86_64, "aarch64": _AARCH64}
"""Machine -> number of a system call -> (its name, how its first arguments name the file)."""
_OTHERS = {
    "x86_64": {
        7: "poll", 23: "select", 35: "nanosleep", 42: "connect", 43: "accept", 44: "sendto", 45: "recvfrom",
        46: "sendmsg", 47: "recvmsg", 61: "wait4", 72: "fcntl", 73: "flock", 230: "clock_nanosleep", 247: "waitid",
        270: "pselect6", 271: "ppoll", 288: "accept4",
    },
    "aarch64": {
        25: "fcntl", 32: "flock", 72: "pselect6", 73: "ppoll", 95: "waitid", 101: "nanosleep", 115: "clock_nanosleep",
        202: "accept", 203: "connect", 206: "sendto", 207: "recvfrom", 211: "sendmsg", 212: "recvmsg", 242: "accept4",
        260: "wait4",
    },
}  # fmt: skip
"""The same for calls that wait for a time, another program or the network, and end when that comes. Not futex, by which
threads wait for each other, nor epoll_wait, in which an event loop has nothing to do.
"""
_NO_FILE = ("socket:", "pipe:", "anon_inode:")
"""Of the links in /proc/PID/fd: what can be waited on and lies on no disk."""
_AT_CWD = -100
_PATH_MAX = 4096


class Wait(NamedTuple):
    """What a process waits for. `what`: as a phrase, None: for nothing that comes by itself, or it may not be seen;
    `on_disk`: that is a file; `mount`: the mount point of the file, if its file system may be what does not answer (and
    not a FIFO, for example), else "".
    """

    what: str | None
    on_disk: bool = False
    mount: str = ""


def of(pid: int, thread: int | None = None) -> Wait:
    """Of the process, or of one thread of it: a file system call in which any thread waits, with path, mount and place
    in the kernel; a thread in state D; or another call in which the main thread waits.
    """
    machine = os.uname().machine
    of_files, others = _CALLS.get(machine, {}), _OTHERS.get(machine, {})
    stuck = other = None
    for tid in _threads(pid) if thread is None else (str(thread),):
        found = proc.stat(int(tid), f"/proc/{pid}/task")
        if found is None or found.state not in "SD":
            continue
        where = proc.text(pid, f"task/{tid}/wchan").strip("0\n")
        place = f", in {where}" if where else ""
        words = proc.text(pid, f"task/{tid}/syscall").split()
        number = int(words[0]) if len(words) > 2 and words[0].isdigit() else -1  # noqa: PLR2004 - and two arguments
        name, how = of_files.get(number, ("", ""))
        path = _path(pid, how, [int(each, 16) for each in words[1:3]]) if name else None
        if path is not None:
            mount = mounts.holding(proc.text(pid, "mountinfo"), path)
            kind, point = ("", "") if mount is None else (mount.kind, mount.point)
            on = f" ({kind} on {_shown(point)})" if point else ""
            silent = found.state == "D" or kind.startswith("fuse")  # which waits for its program in state S
            return Wait(f"{name} of {_shown(path)}{on}{place}", on_disk=True, mount=point if silent else "")
        if found.state == "D":
            stuck = f"a thread is in state D{place}"
        if tid == str(thread or pid):
            other = name or others.get(number)
    return Wait(stuck, on_disk=True) if stuck is not None else Wait(other)


def _threads(pid: int) -> list[str]:
    """The main thread first."""
    with suppress(OSError):
        return sorted(os.listdir(f"/proc/{pid}/task"), key=lambda tid: (tid != str(pid), tid))  # noqa: PTH208
    return []


def _path(pid: int, how: str, given: list[int]) -> str | None:
    """The path that the arguments name; None: it is no file, or cannot be read."""
    if how == _BY_DESCRIPTOR:
        link = _link(pid, f"fd/{given[0]}")
        return None if link is None or link.startswith(_NO_FILE) or link.startswith("/dev/") else link
    name = _string(pid, given[1] if how == _BY_PATH_AT else given[0])
    if name is None or name.startswith("/"):
        return name
    number = given[0] - (1 << 32) if given[0] & (1 << 31) else given[0]
    below = _link(pid, f"fd/{number}" if how == _BY_PATH_AT and number & 0xFFFFFFFF != _AT_CWD & 0xFFFFFFFF else "cwd")
    return name if below is None else f"{below}/{name}".rstrip("/")


def _link(pid: int, name: str) -> str | None:
    with suppress(OSError):
        return os.readlink(f"/proc/{pid}/{name}")  # noqa: PTH115 - the name that the kernel remembers
    return None


def _string(pid: int, address: int) -> str | None:
    """A string in the memory of the process; it must be ours, and the child of this process or of root."""
    with suppress(OSError), open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:  # noqa: PTH123
        data = b""
        while b"\0" not in data and len(data) < _PATH_MAX:  # to the end of the page: the next one may not be there
            more = os.pread(memory.fileno(), _PATH_MAX - (address + len(data)) % _PATH_MAX, address + len(data))
            if not more:
                break
            data += more
        return os.fsdecode(data.partition(b"\0")[0])
    return None


def _shown(path: str) -> str:
    """Without what would break a line or paint a terminal."""
    return "".join(each if each.isprintable() else "?" for each in path)
