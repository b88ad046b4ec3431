"""`jupyterd password`: set the password of the login page, for a running server at once, or for the next start."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Callable

from jupyterd.cli import _common, login_state
from jupyterd.cli._common import TROUBLE, fail
from jupyterd.settings import login_store, rules, table
from jupyterd.settings.paths import Paths
from jupyterd.settings.values import Fault

HELP = "set the password; a running server uses it at once and logs out every browser"
NONE = 3
_LINE_BYTES = 4 * login_store.PASSWORD_MOST + 2
_FIXED = """\
the settings of this server fix the password ([login] password_hash), so it cannot be set here.
    jupyterd config show --origin     shows which file sets it
    jupyterd config hash              makes a new hash to put there; then: sudo systemctl reload jupyterd
Or delete that line, reload, and run jupyterd password again."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its options. The password itself is not one of them: every account can read a command line."""
    _common.which_arguments(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--stdin", action="store_true", help="read the password from the first line of standard input")
    how.add_argument(
        "--hash-stdin", action="store_true", help='read its hash ("argon2:..." or "sha1:...") from standard input'
    )
    how.add_argument("--remove", action="store_true", help="remove the password: only tokens log in (jupyterd token)")
    # For setup: --if-new stores only a password that differs from the current one; --is-set exits 3 if none is set.
    parser.add_argument("--if-new", action="store_true", help=argparse.SUPPRESS)
    how.add_argument("--is-set", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(may_set=False)


def by_root(args: argparse.Namespace, as_the_account: Callable[..., int]) -> int:
    """Root asks: the account's process gets what was typed, and no terminal."""

    def typed() -> bytes:
        if args.stdin or args.hash_stdin:
            return sys.stdin.buffer.readline(_LINE_BYTES)
        line = f"{_typed(from_stdin=False)}\n"
        args.stdin = True
        return line.encode("utf-8", "surrogateescape")

    if args.is_set or args.remove:
        return as_the_account()
    args.may_set = True
    code = as_the_account()
    args.may_set = False
    return code or _told(lambda: as_the_account(typed))


def main(args: argparse.Namespace) -> int:
    """Ask, hash, store."""
    return _told(lambda: _set(args))


def _told(work: Callable[[], int]) -> int:
    try:
        return work()
    except (OSError, ValueError) as error:
        return fail(f"nothing was changed: {error}")
    except (KeyboardInterrupt, EOFError):
        return fail("nothing was changed")


def _set(args: argparse.Namespace) -> int:
    where = _common.places(args.which, os.environ, os.geteuid())[0]
    if os.geteuid() == 0 and where.mode == "service" and not where.state.is_dir():
        return fail("there is no service on this machine yet. Type: sudo ./install")
    server = _common.find_server(args.which)
    paths, known = server.paths, login_state.read(server.paths)
    if args.is_set:
        return 0 if known.fixed or known.browsers else NONE
    if known.fixed:
        return fail(_FIXED)
    return 0 if args.may_set else _change(paths, args, runs=server.running is not None)


def _change(paths: Paths, args: argparse.Namespace, *, runs: bool) -> int:
    if args.remove:
        login_store.set_password(paths.login, "")
        print("The password is removed. To log in from now on, type: jupyterd token")
        return 0
    hashed = _given_hash() if args.hash_stdin else _hashed(paths, args)
    if hashed is None:
        return TROUBLE
    if args.if_new and hashed == login_store.read_or_set_aside(paths.login).password_hash:
        return 0
    login_store.set_password(paths.login, hashed)
    now = "every browser has to log in again" if runs else "it is valid from the next start"
    print(f"The password is set; {now}. An unused one-time token is no longer valid.")
    return 0


def _hashed(paths: Paths, args: argparse.Namespace) -> str | None:
    """The hash of the password that is typed. None, with the reason printed, if it cannot be used."""
    from jupyter_server.auth.security import passwd, passwd_check  # noqa: PLC0415 - slow

    password = _typed(from_stdin=args.stdin)
    fault = login_store.password_fault(password)
    if fault:
        fail(f"{fault} Nothing was changed.")
        return None
    old = login_store.read_or_set_aside(paths.login).password_hash
    if args.if_new and old and passwd_check(old, password):  # type: ignore[no-untyped-call]
        return old
    hashed: str = passwd(password)  # type: ignore[no-untyped-call]
    return hashed


def _given_hash() -> str | None:
    """The first line of standard input, if it is a hash."""
    row = table.SETTINGS["login.password_hash"]
    text = sys.stdin.buffer.readline(4096).decode("utf-8", "replace").strip()
    judged = rules.normalise(row, text, rules.Context("", None)) if text else ""
    if isinstance(judged, str) and judged:
        return judged
    wrong = judged.found if isinstance(judged, Fault) else "there was no hash on standard input"
    fail(f"{wrong}; to make a hash: jupyterd config hash. Nothing was changed.")
    return None


def _typed(*, from_stdin: bool) -> str:
    """The password as typed. ValueError if it was repeated differently, or there is no terminal."""
    if from_stdin:
        line = sys.stdin.buffer.readline(_LINE_BYTES)
        return line.decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r")
    if not sys.stdin.isatty():
        raise ValueError("there is no terminal to ask for it; in a script use: jupyterd password --stdin")
    password = getpass.getpass("New password: ")
    if getpass.getpass("Repeat the password: ") != password:
        raise ValueError("the two passwords differ")
    return password
