"""Capabilities (capabilities(7)): what the programs that this process starts get of its own."""

from __future__ import annotations

_PR_CAP_AMBIENT, _CLEAR_ALL = 47, 4


def withhold() -> None:
    """Keep this process's capabilities from every program that it starts from now on: the supervisor may listen on
    ports below 1024, and nothing else has to. OSError if the kernel refuses.

    Clears the ambient set (PR_CAP_AMBIENT, prctl(2)): what an ordinary account executes then has no capability. The
    inheritable set counts only for files that have capabilities of their own, and NoNewPrivileges= ignores those; the
    sandbox forbids capset(2) and changes of the bounding set.
    """
    if not _hands_on():
        return
    import ctypes  # noqa: PLC0415 - 1 MB that a supervisor without a capability does not need

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_CAP_AMBIENT, _CLEAR_ALL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the capabilities of this process cannot be kept from its children")


def _hands_on() -> bool:
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:  # noqa: PTH123 - the supervisor is small
        return any(int(line.split()[1], 16) for line in file if line.startswith("CapAmb:"))
