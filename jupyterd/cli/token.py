"""`jupyterd token`: a new one-time token for a running (or a future) server, with everything needed to use it."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

import attrs

from jupyterd.cli import _common, banner, login_state, ssh, typed
from jupyterd.cli.status.read import standing

SETTLE_EVERY_S, SETTLE_LOOKS, START_LOOKS = 0.1, 30, 200
HELP = "print a new one-time link: for the first login, or if you forgot the password"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    _common.which_arguments(parser)
    parser.set_defaults(here=None)
    parser.add_argument("--if-needed", action="store_true", help="print no new link if there is another way to log in")


def by_root(args: argparse.Namespace, as_the_account: Callable[[], int]) -> int:
    """The account may not read how sudo's caller reached this machine."""
    args.here = ssh.here()
    return as_the_account()


def main(args: argparse.Namespace) -> int:
    """Make the token and print the banner, or the bare token when no server runs."""
    here = args.here or ssh.here()
    try:
        server = _common.find_server(args.which)
        if args.if_needed:
            login = login_state.first(server.paths, terminal=True)
        else:
            login = login_state.issue(server.paths, login_state.read(server.paths))
    except (OSError, ValueError) as error:
        return _common.fail(f"no token was made: {error}")
    show(settled(server), login, here)
    return 0


def settled(server: _common.Server, pause: Callable[[float], None] = time.sleep) -> _common.Server:
    """The server as soon as each of its addresses has answered or failed: a moment after a start not all of them have,
    and only those that have are shown. At the latest after SETTLE_LOOKS looks, SETTLE_EVERY_S apart; while a server is
    being started and nothing answers, after START_LOOKS.
    """
    for look in range(START_LOOKS):
        if server.running is None:
            break
        shot = server.running.snapshot
        starts = shot.state in ("starting", "restarting") and not shot.urls
        undecided = look < SETTLE_LOOKS and any(not each.ok and not each.detail for each in shot.addresses)
        if not starts and not undecided:
            break
        pause(SETTLE_EVERY_S)
        try:
            server = attrs.evolve(server, running=standing(server.running.file))
        except (OSError, ValueError):  # it has ended meanwhile
            break
    return server


def show(server: _common.Server, login: banner.Login, here: ssh.Here) -> None:
    """Print it to standard output, even if that is a pipe: the person asked for it."""
    if server.running is not None and server.urls:
        served = banner.of_snapshot(server.running.snapshot)
        print(banner.text(served, login, here, typed.program(os.environ)), end="")
        return
    if isinstance(login, banner.Token):
        print(login.token)
    if server.running is not None:
        _common.say("the server answers on no address now (see: jupyterd status); this login works once it does")
        return
    _common.say("no server runs now (see: jupyterd status); this login works after the next start")
