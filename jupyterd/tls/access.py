"""Who else can read a private key. A key that another person can read is refused."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path

from jupyterd.tls.files import account, quoted
from jupyterd.tls.key_pair import PairProblem

_FIRST_PERSON = 1000
_LAST_PERSON = 59999
"""UIDs of people (adduser.conf(5)); below are the system's own accounts, which root gave what they have."""


def refused(path: Path, status: os.stat_result) -> PairProblem | None:
    """Why the key at `path` is not private; None if it is: the account's own without access for others, or root's and
    readable through a group without any other person (as Debian's ssl-cert, and as PostgreSQL requires).
    """
    mode = stat.S_IMODE(status.st_mode)
    mine = status.st_uid == os.geteuid()
    sudo = "" if mine else "sudo "
    if not mine and _person(status.st_uid):
        owner = _name(status.st_uid)
        return PairProblem(
            f"{path} holds a private key and belongs to {owner}, who can read and replace it",
            f"sudo chown {account()} {quoted(path)} && sudo chmod 600 {quoted(path)}",
        )
    if mode & 0o007:
        wanted = "600" if mine else "o="
        return PairProblem(
            f"{path} holds a private key and every local account may {_may(mode)} it (mode {mode:04o})",
            f"{sudo}chmod {wanted} {quoted(path)}",
        )
    if mode & 0o070 and mine and status.st_uid != 0:
        return PairProblem(
            f"{path} holds a private key and the group {_group(status.st_gid)} may {_may(mode >> 3)} it"
            f" (mode {mode:04o})",
            f"chmod 600 {quoted(path)}",
        )
    others = _others(status.st_gid) if mode & 0o070 else ()
    if others:
        return PairProblem(
            f"{path} holds a private key and {', '.join(others)} may {_may(mode >> 3)} it through the group"
            f" {_group(status.st_gid)}",
            f"sudo chgrp {account()} {quoted(path)} && sudo chmod 640 {quoted(path)}",
        )
    return None


def _others(gid: int) -> tuple[str, ...]:
    """People in a group, by either way of being in one, other than the account itself."""
    try:
        members = set(grp.getgrgid(gid).gr_mem)
    except KeyError:
        members = set()
    everybody = pwd.getpwall()
    people = {each.pw_name for each in everybody if _person(each.pw_uid) and each.pw_uid != os.geteuid()}
    primary = {each.pw_name for each in everybody if each.pw_gid == gid}
    return tuple(sorted(people & (members | primary)))


def _person(uid: int) -> bool:
    return _FIRST_PERSON <= uid <= _LAST_PERSON


def _may(bits: int) -> str:
    return "replace" if bits & 0o2 and not bits & 0o4 else "read"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return f"gid {gid}"
