"""The account whose notebooks these are, as the password database knows it, and what "~" means for it."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Account:
    """`name` is the number where the database has no entry (a container started with a bare uid)."""

    name: str
    uid: int
    gid: int
    home: str


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


def become_owner(directory: Path) -> None:
    """Root becomes the account that owns the directory, for the rest of the process: it must not touch the account's
    files and sockets as root. Does nothing for anybody else, or when there is no such directory.
    """
    if os.geteuid() != 0:
        return
    try:
        owner = directory.lstat()
    except OSError:
        return
    if owner.st_uid != 0:
        become(owner.st_uid, owner.st_gid)


def become(uid: int, gid: int) -> None:
    """Root becomes the account for the rest of the process: its groups, its HOME and its runtime directory, and nothing
    of root's own XDG directories. `gid` counts where the password database does not know the account.
    """
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:  # a number without a name, as in some containers
        os.setgroups([])
        os.setgid(gid)
        os.environ["HOME"] = "/"
    else:
        os.initgroups(entry.pw_name, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.environ.update(HOME=entry.pw_dir, USER=entry.pw_name, LOGNAME=entry.pw_name)
    os.setuid(uid)
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        os.environ.pop(name, None)
    os.environ["XDG_RUNTIME_DIR"] = f"/run/user/{uid}"
