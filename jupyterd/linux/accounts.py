"""The account whose notebooks these are, as the password database knows it, and what "~" means for it."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PARTS_MAX = 512
"""Parts of a path, those of links included."""


@dataclass(frozen=True, slots=True)
class Account:
    """`name` is the number where the database has no entry (a container started with a bare uid)."""

    name: str
    uid: int
    gid: int
    home: str


ROOT = Account("root", 0, 0, "/root")
STATE_BELOW_HOME = ".local/state/jupyterd"
"""The state directory of a server of one's own, unless $XDG_STATE_HOME names another place."""


def account(uid: int, environ: Mapping[str, str], *, service: bool) -> Account:
    """The account of this uid. Outside the service $HOME wins, as in the shell that the command was typed in;
    in the service (and for root who looks at it with sudo's $HOME) the database does.
    """
    variable = environ.get("HOME", "")
    typed = variable if not service and variable.startswith("/") else ""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Account(str(uid), uid, os.getgid(), typed or variable or "/")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, typed or entry.pw_dir)


def expanded(path: str, home: str) -> str | None:
    """The path with "~" or "~name" replaced; None when there is no such account."""
    if not path.startswith("~"):
        return path
    head, _, tail = path.partition("/")
    base = home
    if head != "~":
        try:
            base = pwd.getpwnam(head[1:]).pw_dir
        except (KeyError, ValueError):
            return None
    return str(Path(base, tail))


def others_in_group(gid: int, mine: Account) -> tuple[str, ...]:
    """Names of the group's other members (primary or supplementary), without the account `mine` and root."""
    try:
        members = set(grp.getgrgid(gid).gr_mem)
    except KeyError:
        members = set()
    # Enumerates local accounts only, as a rule: directory services do not list theirs, and are not asked one by one.
    members |= {entry.pw_name for entry in pwd.getpwall() if entry.pw_gid == gid}
    return tuple(sorted(members - {mine.name, "root"}))


def master_of(path: Path) -> Account | None:
    """The account that can change what `path` leads to: the owner of the first part of it, links included, that is not
    root's; None when nobody but root can, or when there is no such file. For root: it looks at what is root's and at
    the owner of the first thing that is not, and at nothing beyond. PermissionError for a part that several accounts
    may change.
    """
    rest = os.path.abspath(path).split("/")  # noqa: PTH100 - follows no link
    at = "/"
    for _ in range(_PARTS_MAX):
        if not rest:
            return None
        name = rest.pop(0)
        if name == "..":
            at = os.path.dirname(at)  # noqa: PTH120 - a path without links
        if name in ("", ".", ".."):
            continue
        here = os.path.join(at, name)  # noqa: PTH118 - as above
        try:
            found = os.lstat(here)
        except FileNotFoundError:
            return None
        if found.st_uid != 0:
            return _owner(found)
        if stat.S_ISLNK(found.st_mode):
            target = os.readlink(here)  # noqa: PTH115 - as above
            rest = target.split("/") + rest
            at = "/" if target.startswith("/") else at
            continue
        if _is_shared(found):
            raise PermissionError(f"{here} can be changed by accounts other than root; type: chmod go-w {here}")
        at = here
    raise PermissionError(f"{path} leads through too many links")


def roots_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` without what leads root to files that an account can change: sudo may leave it the account's PATH, HOME
    (where certbot and pip look for settings that name programs) and XDG_ directories.
    """
    path = [each for each in environ.get("PATH", "").split(":") if _is_roots(each)]
    kept = {name: value for name, value in environ.items() if not name.startswith("XDG_") or _is_roots(value)}
    home = environ.get("HOME", "")
    return kept | {"PATH": ":".join(path) or _PATH, "HOME": home if _is_roots(home) else pwd.getpwuid(0).pw_dir}


def _is_roots(directory: str) -> bool:
    try:
        return directory.startswith("/") and master_of(Path(directory)) is None
    except OSError:
        return False


def _is_shared(found: os.stat_result) -> bool:
    """Whether others than root may change this file of root's. In a sticky directory people change only their own."""
    if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX:
        return False
    return bool(found.st_mode & 0o002 or (found.st_mode & 0o020 and others_in_group(found.st_gid, ROOT)))


def _owner(found: os.stat_result) -> Account:
    """The owner of a file; its group counts only where the password database does not know the account."""
    mine = account(found.st_uid, {}, service=True)
    return mine if _is_known(mine) else replace(mine, gid=found.st_gid or found.st_uid)


def _is_known(who: Account) -> bool:
    try:
        return pwd.getpwuid(who.uid).pw_name == who.name
    except KeyError:
        return False


def become(who: Account) -> None:
    """Root becomes this account, with its groups, for the rest of the process."""
    os.setgroups(os.getgrouplist(who.name, who.gid) if _is_known(who) else [])
    os.setgid(who.gid)
    os.setuid(who.uid)
