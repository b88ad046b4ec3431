"""The options of `jupyterd setup` and of ./install, one for each question.

Also runs from a checkout, before there is an environment: standard library only.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options. No option holds a secret, because every account can read a command line."""
    parser.add_argument("--yes", action="store_true", help="ask nothing; keep what no option changes")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be done")
    parser.add_argument(
        "--account", metavar="NAME", help="as root: the account that the service runs as (default: the user of sudo)"
    )
    parser.add_argument(
        "--end-run", action="store_true", help="end a server of ./run that is in the way, with its kernels"
    )
    parser.add_argument(
        "--no-take-over", dest="take_over", action="store_false",
        help="do not take over password, certificate and Python environment of notebooks from ./run",
    )  # fmt: skip
    login = parser.add_mutually_exclusive_group()
    login.add_argument(
        "--password-stdin", dest="login", action="store_const", const="password",
        help="read the password from the first line of standard input",
    )  # fmt: skip
    login.add_argument(
        "--hash-stdin", dest="login", action="store_const", const="hash",
        help="read its hash from there: from `jupyterd config hash`, or from an old Jupyter",
    )  # fmt: skip
    login.add_argument(
        "--token", dest="login", action="store_const", const="token",
        help="print a one-time link, and choose the password in the browser (default)",
    )  # fmt: skip
    parser.add_argument("--ip", metavar="LIST", help='addresses to listen on, separated by commas; "*" for all')
    parser.add_argument("--port", metavar="NUMBER", help="port to listen on")
    parser.add_argument(
        "--certificate", metavar="WHICH",
        help="authority (a local one that you add to each device once), acme (Let's Encrypt), the file of your own "
        "certificate, or auto: keep the current one, else a self-signed one (default)",
    )  # fmt: skip
    parser.add_argument(
        "--key", metavar="FILE", type=Path, help="with the file of a certificate: its key, if in another file"
    )
    parser.add_argument(
        "--domain", action="append", metavar="D", help="with acme: the host name; may be given several times"
    )
    parser.add_argument("--email", metavar="E", help="with acme: where the authority sends warnings")
    parser.add_argument("--acme-server", metavar="URL", help="with acme: the server to use (default: Let's Encrypt)")
    parser.add_argument(
        "--agree-tos", action="store_true", help="with acme: agree to the terms of service without asking"
    )
    jupyter = parser.add_mutually_exclusive_group()
    jupyter.add_argument(
        "--import", dest="take", nargs="?", const="", metavar="PATH",
        help="import the settings of a Jupyter configuration (a file or a directory; default: ~/.jupyter)",
    )  # fmt: skip
    jupyter.add_argument("--no-import", dest="take", action="store_false", help="do not offer to import")


def says_something(args: argparse.Namespace) -> bool:
    """Whether any option changes an existing service."""
    given = (args.login, args.ip, args.port, args.certificate, args.key, args.domain, args.email, args.take)
    return any(each is not None for each in given)
