"""Which directories the service's sandbox lets the server write to, and which it never does, whoever asks.

The root directory and its links belong to the account, and notebooks can change them: a link must not open the machine.
Only `links` looks at the disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_TREES = (
    "/bin", "/boot", "/efi", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/run", "/sbin", "/sys", "/usr",
)  # fmt: skip
"""The system's own, with everything in them but `_NOT_OF_THE_SYSTEM`."""
_NOT_OF_THE_SYSTEM = ("/run/media", "/usr/local", "/usr/src")
"""People keep disks and data in directories below these."""
_WHOLES = frozenset({
    "/", "/home", "/root", "/var", "/var/backups", "/var/cache", "/var/lib", "/var/log", "/var/mail", "/var/spool",
    "/run/media", "/usr/local", "/usr/src",
})  # fmt: skip
"""Never as a whole; a directory in them may be the account's."""
_OPEN = ("/dev", "/var/lib/jupyterd", "/run/jupyterd")
"""Where the sandbox lets the server write in any case."""
_OURS = (
    "/etc/jupyterd", "/opt/jupyterd", "/opt/jupyterd-certbot", "/usr/local/bin", "/usr/local/lib/systemd",
)  # fmt: skip
"""jupyterd's program, settings and units."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A directory that the server should be able to write to. `why` names the setting or the link that leads there."""

    path: str
    """What goes into ReadWritePaths=."""
    real: str
    """Where it is, after every link."""
    why: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A directory that the sandbox stays closed for, and the reason as a phrase about it: "is the home of bob"."""

    wanted: Wanted
    reason: str

    def __str__(self) -> str:
        asked = self.wanted
        through = asked.path if asked.path.isprintable() else ascii(asked.path)
        where = through if asked.real == asked.path else f"{through} (that is {asked.real})"
        return f"{where} {self.reason}, so the server may not write there ({asked.why})"


@dataclass(frozen=True, slots=True)
class Openings:
    """The decision: what the server may write to, and what was refused."""

    writable: tuple[Wanted, ...] = ()
    refused: tuple[LeftOut, ...] = ()


def decide(wanted: Iterable[Wanted], home: str, others: Mapping[str, str]) -> Openings:
    """`home` is the account's; `others` are homes of other accounts, home -> name."""
    opened: dict[str, Wanted] = {}
    refused: dict[str, LeftOut] = {}
    for each in wanted:
        reason = objection(each.real, home, others)
        if not each.path.isprintable():
            reason = "has a name with a character that cannot be printed"
        if reason:
            refused.setdefault(each.path, LeftOut(each, reason))
        elif not any(_within(each.real, already) for already in _OPEN):
            opened.setdefault(each.path, each)
    return Openings(tuple(opened.values()), tuple(refused.values()))


def objection(real: str, home: str, others: Mapping[str, str]) -> str | None:
    """Why the sandbox is never opened for this directory, as a phrase about it; None if it may be."""
    if real == home == "/root" or (_within(real, home) and home not in _WHOLES and home not in _TREES):
        return None
    if real in _WHOLES:
        return "is a system-wide directory"
    for each in _OURS:
        if _within(real, each) or _within(each, real):
            return "holds jupyterd's own program or settings"
    if any(_within(real, tree) for tree in _TREES) and not any(_within(real, tree) for tree in _NOT_OF_THE_SYSTEM):
        return "belongs to the system"
    for each, name in sorted(others.items()):
        if _within(each, real):
            return f"is the home of {name}" if each == real else f"holds the home of {name}"
    return None


def links(directory: Path) -> list[Wanted]:
    """Directories elsewhere to which links right below this one lead: people link their disks there."""
    try:
        found = sorted(Path(entry.path) for entry in os.scandir(directory) if entry.is_symlink() and entry.is_dir())
    except OSError:
        return []  # a disk that is late: what it holds is seen at the next install
    made = [(str(each.resolve()), each) for each in found]
    return [
        Wanted(real, real, f"{str(link) if str(link).isprintable() else ascii(str(link))} leads there")
        for real, link in made
        if not _within(real, str(directory))
    ]


def _within(path: str, directory: str) -> bool:
    return PurePosixPath(path).is_relative_to(directory)
