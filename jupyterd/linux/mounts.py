"""The mount that holds a path, from /proc/PID/mountinfo (proc_pid_mountinfo(5)): nothing on the disk is looked at.
Whoever looks below one that does not answer waits as well.

Without pathlib: the supervisor imports this module and must stay small.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

_ESCAPED = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))
NETWORK = ("nfs", "cifs", "smb", "fuse.sshfs", "9p", "ceph", "glusterfs", "fuse.glusterfs", "afs", "lustre", "beegfs")
"""Beginnings of the types of file systems that are on another machine."""

_LINKS_MOST = 40
"""As many as the kernel follows (path_resolution(7))."""


@dataclass(frozen=True, slots=True)
class Mount:
    """`options` are of this mount, `of_disk` of the file system itself."""

    point: str
    kind: str
    source: str
    options: tuple[str, ...]
    of_disk: tuple[str, ...]

    @property
    def is_remote(self) -> bool:
        """Whether its file system is on another machine."""
        return self.kind.startswith(NETWORK)


def every(mountinfo: str) -> list[Mount]:
    """Each mount, in the order in which they were made."""
    return [_mount(line.split(" ")) for line in mountinfo.splitlines() if " - " in line]


def holding(mountinfo: str, path: str) -> Mount | None:
    """The one that holds this path, which has no links in it: the longest mount point above it, the last one there."""
    best = None
    for each in every(mountinfo):
        inside = path == each.point or path.startswith(each.point.rstrip("/") + "/")
        if inside and (best is None or len(each.point) >= len(best.point)):
            best = each
    return best


def below(path: str, points: Collection[str]) -> str | None:
    """The one of these directories at or below which the path lies; None: it does not. Links are followed, one name
    after the other, so that nothing below such a directory is looked at.
    """
    ahead, here, links = [os.path.join(os.getcwd(), path)], "", 0  # noqa: PTH109, PTH118 - see above
    while ahead:
        first, _, rest = ahead.pop().partition("/")
        if rest:
            ahead.append(rest)
        if first in ("", "."):
            continue
        if first == "..":
            here = here.rpartition("/")[0]
            continue
        before, here = here, f"{here}/{first}"
        if here in points:
            return here
        with suppress(OSError, ValueError):  # not a link, or not there; a NUL in it
            target = os.readlink(here)  # noqa: PTH115
            links += 1
            if links > _LINKS_MOST:
                return None
            ahead.append(target)
            here = "" if target.startswith("/") else before
    return None


def own() -> str:
    """The text for this process; "" where it cannot be read."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123 - small
            return file.read()
    except OSError:
        return ""


def unescaped(text: str) -> str:
    """A path as mountinfo and fstab(5) write it."""
    for written, meant in _ESCAPED:
        text = text.replace(written, meant)
    return text


def _mount(fields: list[str]) -> Mount:
    dash = fields.index("-")
    kind, source, of_disk = (*fields[dash + 1 :], "", "", "")[:3]
    return Mount(unescaped(fields[4]), kind, unescaped(source), tuple(fields[5].split(",")), tuple(of_disk.split(",")))
