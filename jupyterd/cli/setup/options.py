"""The options of `jupyterd setup` and of ./install: each answer that is asked for can be given as one.

Runs from a checkout before there is an environment, too: standard library only.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add(parser: argparse.ArgumentParser) -> None:
    """No secret is ever an option: every account can read a command line."""
    parser.add_argument("--yes", action="store_true", help="ask nothing: what no option says stays as it is")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be written")
    parser.add_argument(
        "--account", metavar="NAME", help="root: whose notebooks the service serves (default: who called sudo)"
    )
    login = parser.add_mutually_exclusive_group()
    login.add_argument(
        "--password-stdin", dest="login", action="store_const", const="password",
        help="the password is the first line of standard input",
    )  # fmt: skip
    login.add_argument(
        "--hash-stdin", dest="login", action="store_const", const="hash",
        help="its hash is: one of `jupyterd config hash`, or an old one of Jupyter's",
    )  # fmt: skip
    login.add_argument(
        "--token", dest="login", action="store_const", const="token",
        help="a one-time token: the password is chosen in the browser (default)",
    )  # fmt: skip
    parser.add_argument("--ip", metavar="LIST", help='addresses to listen on, with commas; "*" for every one')
    parser.add_argument("--port", metavar="NUMBER", help="the port")
    parser.add_argument(
        "--certificate", metavar="WHICH",
        help="authority (of this machine's own; each device trusts it once), acme (Let's Encrypt), the file of one "
        "that you have, or auto: the one that is there, else one that browsers warn of (default)",
    )  # fmt: skip
    parser.add_argument("--key", metavar="FILE", type=Path, help="with a certificate's file: its key, if not in it")
    parser.add_argument("--domain", action="append", metavar="D", help="with acme: the host name; may be repeated")
    parser.add_argument("--email", metavar="E", help="with acme: for the authority's warnings")
    parser.add_argument("--acme-server", metavar="URL", help="with acme: another one than Let's Encrypt's")
    parser.add_argument("--agree-tos", action="store_true", help="with acme: agree to its terms without being asked")
    jupyter = parser.add_mutually_exclusive_group()
    jupyter.add_argument(
        "--import", dest="take", nargs="?", const="", metavar="PATH",
        help="take over the settings of a Jupyter configuration (a file or a directory; default: ~/.jupyter)",
    )  # fmt: skip
    jupyter.add_argument("--no-import", dest="take", action="store_false", help="do not offer it")


def says_something(args: argparse.Namespace) -> bool:
    """Whether any answer is given, so that a known service is to change."""
    given = (args.login, args.ip, args.port, args.certificate, args.key, args.domain, args.email, args.take)
    return any(each is not None for each in given)
