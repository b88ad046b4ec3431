"""The options of `jupyterd setup` and of ./install, one for each question.

Also runs from a checkout, before there is an environment: standard library only.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

HELP_ALL = "--help-all"


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options. No option holds a secret, because every account can read a command line. The help shows those
    that are rarely needed only after --help-all, and fits a screen without them.
    """

    def rare(text: str) -> str:
        return text if HELP_ALL in sys.argv else argparse.SUPPRESS

    parser.usage = f"{parser.prog} [ANSWER ...]"
    parser.add_argument(HELP_ALL, action="help", help="show every option")
    parser.add_argument("--yes", action="store_true", help="ask nothing; keep what no option changes")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be done")
    parser.add_argument("--account", metavar="NAME", help="whose service it is (default: the caller of sudo)")
    answers = parser.add_argument_group("answers")
    _login(answers, rare)
    answers.add_argument("--ip", metavar="LIST", help='addresses, with commas between; "*" for all')
    answers.add_argument("--port", metavar="NUMBER", help="the port (default: 8888, or the next free one)")
    _certificate(answers, rare)
    before = parser.add_argument_group("what is there already")
    before.add_argument("--end-run", action="store_true", help="end a server of ./run that is in the way")
    before.add_argument(
        "--no-take-over", dest="take_over", action="store_false",
        help=rare("take over neither password, certificate nor Python environment of notebooks from ./run"),
    )  # fmt: skip
    jupyter = before.add_mutually_exclusive_group()
    jupyter.add_argument(
        "--import", dest="take", nargs="?", const="", metavar="PATH",
        help="import a Jupyter configuration (default: ~/.jupyter)",
    )  # fmt: skip
    jupyter.add_argument("--no-import", dest="take", action="store_false", help=rare("do not offer to import"))


def _login(group: argparse._ArgumentGroup, rare: Callable[[str], str]) -> None:
    login = group.add_mutually_exclusive_group()
    login.add_argument(
        "--password-stdin", dest="login", action="store_const", const="password",
        help="read the password from standard input (one line)",
    )  # fmt: skip
    login.add_argument(
        "--hash-stdin", dest="login", action="store_const", const="hash",
        help=rare("read its hash from there: from `jupyterd config hash`, or from an old Jupyter"),
    )  # fmt: skip
    login.add_argument(
        "--token", dest="login", action="store_const", const="token",
        help="choose it in the browser, by a one-time link (default)",
    )  # fmt: skip


def _certificate(group: argparse._ArgumentGroup, rare: Callable[[str], str]) -> None:
    group.add_argument(
        "--certificate", metavar="WHICH",
        help="auto (default), authority, acme, or a file of your own",
    )  # fmt: skip
    group.add_argument("--key", metavar="FILE", type=Path, help=rare("the key, if it is in another file"))
    group.add_argument(
        "--domain", action="append", metavar="D", help=rare("with acme: the host name; may be given several times")
    )
    group.add_argument("--email", metavar="E", help=rare("with acme: where the authority sends warnings"))
    group.add_argument(
        "--acme-server", metavar="URL", help=rare("with acme: the server to use (default: Let's Encrypt)")
    )
    group.add_argument(
        "--agree-tos", action="store_true", help=rare("with acme: agree to the terms of service without asking")
    )


def says_something(args: argparse.Namespace) -> bool:
    """Whether any option changes an existing service."""
    given = (args.login, args.ip, args.port, args.certificate, args.key, args.domain, args.email, args.take)
    return any(each is not None for each in given)
