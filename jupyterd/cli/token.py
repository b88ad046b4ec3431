"""`jupyterd token`: a new one-time token for a running (or a future) server, with everything needed to use it.

Root becomes the service's account before it touches a file of it.
"""

from __future__ import annotations

import argparse
import os
import pwd
import sys
from pathlib import Path

from jupyterd.cli import banner, login_state, ssh, typed, which_server
from jupyterd.cli.status.read import Nothing, ServerStatus, look
from jupyterd.settings.paths import Paths
from jupyterd.settings.problems import Invalid

HELP = "a new one-time token: for the first login, or for a forgotten password"
TROUBLE = 1


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--system", dest="which", action="store_const", const="system", help="the machine's service")
    which.add_argument("--user", dest="which", action="store_const", const="user", help="your own server")
    parser.add_argument("--if-needed", action="store_true", help="make none when there is another way to log in")
    parser.set_defaults(which=None)


def main(args: argparse.Namespace) -> int:
    """Issue it and print the banner, or the bare token where no server runs."""
    here = ssh.here()  # while the environment of sudo's caller may be read
    try:
        where = which_server.places(args.which, os.environ, os.geteuid())
        if os.geteuid() == 0 and where[0].mode == "service" and where[0].state.is_dir():
            where = where[:1]
            become(where[0].state.stat().st_uid)
        found = look(which_server.snapshots(where))
        paths = server(found, where)
        if paths is None:
            print(
                "jupyterd: the server of this machine belongs to another account:\n    sudo jupyterd token",
                file=sys.stderr,
            )
            return TROUBLE
        login = (
            login_state.first(paths, terminal=True)
            if args.if_needed
            else login_state.issue(paths, login_state.read(paths))
        )
    except Invalid as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return TROUBLE
    except (OSError, ValueError, KeyError) as error:
        print(f"jupyterd: no token was made: {error}", file=sys.stderr)
        return TROUBLE
    show(found, login, here)
    return 0


def server(found: ServerStatus | Nothing, where: tuple[Paths, ...]) -> Paths | None:
    """Whose token it is: the running server's, or the one that would run; None for another account's."""
    if isinstance(found, ServerStatus):
        return Paths(mode="foreground", state=Path(found.snapshot.state_dir), runtime=found.file.parent)
    if found.denied:
        return None
    return where[0]


def show(found: ServerStatus | Nothing, login: banner.Login, here: ssh.Here) -> None:
    """To standard output, also into a pipe: the person asked for it."""
    if isinstance(found, ServerStatus) and found.snapshot.urls:
        served = banner.of_snapshot(found.snapshot)
        print(banner.text(served, login, here, typed.typed(os.environ)), end="")
        return
    if isinstance(login, banner.Token):
        print(login.token)
    print("jupyterd: it is not running now (jupyterd status); the login holds for the next start", file=sys.stderr)


def become(uid: int) -> None:
    """Be this account for the rest of this process, groups included; there is no way back."""
    if uid == os.geteuid():
        return
    entry = pwd.getpwuid(uid)
    os.initgroups(entry.pw_name, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
