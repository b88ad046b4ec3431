"""Space, inodes and the right to write, where notebooks, the state and temporary files are; what kind of disk it is."""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from jupyterd.cli.doctor.facts import Subject
from jupyterd.cli.doctor.verdict import Verdict
from jupyterd.linux import mounts
from jupyterd.text import GIB, MIB, plural, size

SUBJECT = "disk"
_FULL_BYTES, _FULL_INODES = 64 * MIB, 200
_LITTLE_BYTES, _LITTLE = 2 * GIB, 0.05
_PROBE_BYTES = 1 << 16


def places(what: Subject) -> dict[str, Path]:
    """Where the server writes: what it is for -> the directory. Looks at nothing: a disk may hang."""
    return {
        "notebooks": Path(what.settings.server.root_dir), "the home": Path(what.asked.account.home),
        "the state": what.paths.state, "temporary files": Path("/tmp"),  # noqa: S108 - looked at, not used
    }  # fmt: skip


def examine(where: Mapping[str, Path]) -> Iterator[Verdict]:
    """Of each directory, or the nearest one above it that exists; a file system is told once."""
    seen: set[int] = set()
    rooms: list[str] = []
    for name, wanted in where.items():
        path = _existing(wanted)
        try:
            device = path.stat().st_dev
            if device not in seen:
                seen.add(device)
                yield from room(path)
                rooms.append(f"{size(_free(path))} at {path}")
            if path == wanted:
                yield from writable(name, path)
        except OSError as error:
            yield Verdict(SUBJECT, "wrong", f"{path} cannot be looked at ({error.strerror})", (f"namei -l {path}",))
    yield Verdict(SUBJECT, "good", f"free: {', '.join(rooms)}")


def room(path: Path) -> Iterator[Verdict]:
    """Space and inodes for an account that is not root (statvfs(3))."""
    found, typed = os.statvfs(path), shlex.quote(str(path))
    free, whole = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    largest = f"see what takes the room: sudo du -xh --max-depth=2 {typed} | sort -h | tail"
    if whole and free < _FULL_BYTES:
        yield Verdict(
            SUBJECT, "wrong", f"the disk of {path} is full: {size(free)} of {size(whole)} are left", (largest,)
        )
    elif whole and free < min(_LITTLE_BYTES, _LITTLE * whole):
        text = f"the disk of {path} is nearly full: {size(free)} of {size(whole)} are left"
        yield Verdict(SUBJECT, "notice", text, (largest,))
    if found.f_files and found.f_favail < _FULL_INODES:
        text = f"the disk of {path} takes no more files: {plural(found.f_favail, 'inode')} of {found.f_files} are left"
        yield Verdict(SUBJECT, "wrong", text, (f"see where they are: sudo du --inodes -x {typed} | sort -n | tail",))


def writable(name: str, path: Path) -> Iterator[Verdict]:
    """Proved by a file without a name (open(2), O_TMPFILE), so that also a quota and a full disk are seen."""
    typed = shlex.quote(str(path))
    try:
        fd = os.open(path, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, b"\0" * _PROBE_BYTES)
        finally:
            os.close(fd)
    except OSError as error:
        where = f"{path} ({name})"
        match error.errno:
            case errno.EOPNOTSUPP | errno.EISDIR | errno.ENOSYS:
                if not os.access(path, os.W_OK | os.X_OK, effective_ids=True):
                    yield Verdict(SUBJECT, "wrong", f"{where} cannot be written", (f"ls -ld {typed}",))
            case errno.EROFS:
                mount = mounts.holding(mounts.own(), os.path.realpath(path))
                point = shlex.quote(mount.point if mount else str(path))
                remount = f"sudo mount -o remount,rw {point}"
                yield Verdict(
                    SUBJECT, "wrong", f"{where} is on a disk that is read-only", (remount, "sudo dmesg | tail")
                )
            case errno.EDQUOT:
                yield Verdict(
                    SUBJECT, "wrong", f"{where} takes no more: the quota of this account is used up", ("quota -s",)
                )
            case errno.ENOSPC:
                yield Verdict(
                    SUBJECT, "wrong", f"{where} takes no more: the disk is full", (f"df -h {typed}; df -i {typed}",)
                )
            case _:
                text = f"{where} cannot be written ({error.strerror})"
                yield Verdict(SUBJECT, "wrong", text, (f"see which part of the path refuses it: namei -l {typed}",))


MOUNTS = "mounts"


def examine_mounts(where: Mapping[str, Path], mountinfo: str, fstab: str) -> Iterator[Verdict]:
    """Network disks, and disks of /etc/fstab that are not mounted and that one of these directories needs."""
    for name, path in where.items():
        mount = mounts.holding(mountinfo, os.path.abspath(path))  # noqa: PTH100 - nothing is looked at
        if mount is not None and mount.is_remote:
            are = "are" if name.endswith("s") else "is"
            text = f"{name} {are} on a network disk ({mount.kind}, {mount.source} on {mount.point})"
            if name == "the state":
                text += ", which may lose its locks and its database"
                advice: tuple[str, ...] = ("JUPYTERD_STATE_DIR=DIRECTORY names a place on a disk of this machine",)
            else:
                advice = ()
            yield Verdict(MOUNTS, "notice", text, advice)
    points = {each.point for each in mounts.every(mountinfo)}
    for point in late(fstab, points):
        for name, path in where.items():
            if _above(point, str(path)) or _above(str(path), point):
                typed = f"sudo mount {shlex.quote(point)}"
                yield Verdict(MOUNTS, "wrong", f"{point} is in /etc/fstab and not mounted; {name}: {path}", (typed,))
                break
    yield Verdict(MOUNTS, "good", "every disk that is needed is mounted; none of them is on the network")


def late(fstab: str, mounted: set[str]) -> list[str]:
    """Mount points of fstab(5) that are mounted at boot, and are not."""
    found = []
    for line in fstab.splitlines():
        fields = line.split()
        if len(fields) < 4 or fields[0].startswith("#") or fields[2] == "swap":  # noqa: PLR2004 - what, where, type, how
            continue
        point, options = mounts.unescaped(fields[1]), fields[3].split(",")
        if point.startswith("/") and "noauto" not in options and (point.rstrip("/") or "/") not in mounted:
            found.append(point)
    return found


def _above(point: str, path: str) -> bool:
    return path == point or path.startswith(point.rstrip("/") + "/")


def _existing(path: Path) -> Path:
    for each in (path, *path.parents):
        if os.path.lexists(each):
            return each
    return Path("/")


def _free(path: Path) -> int:
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize
