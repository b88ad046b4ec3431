"""The systemd unit of a kernel: how it is named, and which kernel a process belongs to by its cgroup.

Any account can give its own units and cgroups any name, so only those below the account's own user manager count.
"""

from __future__ import annotations

import re

from jupyterd.protocol.value import value

_NAME = re.compile(r"jupyterd-kernel-(.+)\.service")


@value
class KernelUnit:
    """A unit that holds one kernel and whatever it has started."""

    kernel: str
    """The kernel's id."""
    cgroup: str
    """Path of the unit's cgroup from the root of its hierarchy: "/user.slice/.../jupyterd-kernel-ID.service"."""
    unified: bool
    """The hierarchy is that of cgroup v2, whose cpu.stat counts processes that have ended too."""


def unit_name(kernel: str) -> str:
    """The unit's name, from the kernel's id."""
    return f"jupyterd-kernel-{kernel}.service"


def kernel_unit(cgroup: str, uid: int) -> KernelUnit | None:
    """The kernel unit in the text of /proc/PID/cgroup (cgroups(7)) that the user manager of `uid` runs, else None.

    user@UID.service lies in user-UID.slice (user@.service sets Slice=). What precedes it may be a container's own
    cgroup, but no service: below a service with Delegate=, as another account's user manager, names prove nothing.
    """
    manager = f"/user.slice/user-{uid}.slice/user@{uid}.service"
    for line in cgroup.splitlines():
        hierarchy, _, rest = line.partition(":")
        path = rest.partition(":")[2]
        before, _, below = path.partition(f"{manager}/")
        if not below or ".service/" in f"{before}/":
            continue
        parts = below.split("/")
        for depth, part in enumerate(parts, start=1):
            if (found := _NAME.fullmatch(part)) is not None:
                return KernelUnit(found[1], "/".join([before + manager, *parts[:depth]]), hierarchy == "0")
    return None
