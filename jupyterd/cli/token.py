"""`jupyterd token`: a new one-time token for a running (or a future) server, with everything needed to use it; and the
lasting tokens of programs.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections.abc import Callable

import attrs

from jupyterd.cli import _common, banner, login_state, ssh, typed
from jupyterd.cli.status.read import standing
from jupyterd.linux import local_time
from jupyterd.settings import login_store

SETTLE_EVERY_S, SETTLE_LOOKS, START_LOOKS = 0.1, 30, 200
HELP = "print a new one-time link: for the first login, or if you forgot the password; or manage tokens for programs"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    _common.which_arguments(parser)
    parser.set_defaults(here=None)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--if-needed", action="store_true", help="print no new link if there is another way to log in")
    what.add_argument(
        "--lasting", nargs="?", const="", metavar="NAME", help="make a lasting token for a program, such as an editor"
    )
    what.add_argument("--list", action="store_true", help="list the lasting tokens, with the last use of each")
    what.add_argument("--revoke", metavar="NAME", help="revoke a lasting token; what logged in with it is logged out")


def by_root(args: argparse.Namespace, as_the_account: Callable[[], int]) -> int:
    """The account may not read how sudo's caller reached this machine."""
    args.here = ssh.here()
    return as_the_account()


def main(args: argparse.Namespace) -> int:
    """Make the token and print the banner, or the bare token when no server runs."""
    here = args.here or ssh.here()
    try:
        server = _common.find_server(args.which)
        if args.list or args.revoke is not None or args.lasting is not None:
            return _lasting(server, args)
        if args.if_needed:
            login = login_state.first(server.paths, terminal=True)
        else:
            login = login_state.issue(server.paths, login_state.read(server.paths))
    except (OSError, ValueError) as error:
        return _common.fail(f"no token was made: {error}")
    show(settled(server), login, here)
    return 0


def _lasting(server: _common.Server, args: argparse.Namespace) -> int:
    """OSError, ValueError."""
    store = server.paths.login
    there = login_store.read_or_set_aside(store).lasting
    if args.list:
        return _list(there, login_store.uses(store))
    if args.revoke is not None:
        if not login_store.revoke_lasting(store, args.revoke):
            return _common.fail(f"there is no token {args.revoke!r}; see: jupyterd token --list", _common.USAGE)
        _common.say(f"the token {args.revoke!r} is revoked; what used it is logged out")
        return _common.DONE
    name = args.lasting or _free_name({each.name for each in there})
    token = login_store.add_lasting(store, name)
    _common.say(f"this is the token {name!r}, for programs. It is shown only now, and is valid until you revoke it")
    print(token)
    url = server.urls[0] if server.urls else "https://HOST:PORT/"
    _common.say(f"Jupyter clients: {url}?token=TOKEN. Others: the header Authorization: token TOKEN (docs/clients.md)")
    _common.say(
        f"to revoke it: jupyterd token --revoke {name}; all of them, with their last use: jupyterd token --list"
    )
    return _common.DONE


def _list(tokens: tuple[login_store.LastingToken, ...], uses: dict[str, float]) -> int:
    width = max((len(each.name) for each in tokens), default=0)
    for each in tokens:
        used = f"last used {local_time.moment(uses[each.id])}" if each.id in uses else "never used"
        print(f"{each.name:<{width}}  made {local_time.day(each.created)}  {used}")
    if not tokens:
        _common.say("there are no lasting tokens; to make one: jupyterd token --lasting")
    return _common.DONE


def _free_name(taken: set[str]) -> str:
    return next(name for number in itertools.count(1) if (name := f"token-{number}") not in taken)


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


def show(server: _common.Server, login: banner.Login, here: ssh.SshTarget) -> None:
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
