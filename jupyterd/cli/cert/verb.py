"""`jupyterd cert`: show, make, install or fetch the certificate, and have the running server use it."""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from jupyterd.cli import _common
from jupyterd.cli._common import fail

HELP = "Show the certificate, or use another one: your own, Let's Encrypt's, or one from a local authority."


def arguments(parser: argparse.ArgumentParser) -> None:
    """One sub-verb for each thing to do."""
    parser.set_defaults(read={})
    verbs = parser.add_subparsers(title="what to do", dest="what", metavar="WHAT", required=True)

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=text, description=text, allow_abbrev=False)
        _common.which_arguments(made)
        return made

    show = verb("show", "show the certificate that is served, its names and expiry date, and others on disk")
    show.add_argument("--json", action="store_true", help="print JSON")
    show.add_argument(
        "--authority", action="store_true", help="print only the certificate of the local authority (PEM)"
    )
    new = verb("new", "create a local certificate authority: add it to your devices once, and no browser warns again")
    new.add_argument("--new-authority", action="store_true", help="replace the local authority by a new one")
    install = verb("install", "use this certificate: it is checked first, and then served without a restart")
    install.add_argument("files", nargs="+", type=Path, metavar="FILE", help="certificate, key and chain, in any order")
    verb("remove", "remove the installed certificate and go back to the one that jupyterd made")
    acme = verb(
        "acme", "get a certificate from Let's Encrypt (or another ACME server) with certbot, and renew it automatically"
    )
    acme.add_argument(
        "--domain", action="append", required=True, metavar="D", help="host name; may be given several times"
    )
    acme.add_argument("--email", required=True, metavar="E", help="where the certificate authority sends warnings")
    acme.add_argument("--server", metavar="URL", help="the ACME directory (default: Let's Encrypt)")
    acme.add_argument(
        "--webroot", type=Path, metavar="DIR", help="document root of the web server that already uses port 80 here"
    )
    acme.add_argument(
        "--http-port", type=int, default=80, metavar="N", help="the local port to which port 80 is forwarded"
    )
    acme.add_argument(
        "--agree-tos", action="store_true", help="agree to the authority's terms of service without asking"
    )


def by_root(args: argparse.Namespace, as_the_account: Callable[[], int]) -> int:
    """Certbot is root's; and the account may not be able to read what only root can change."""
    if args.what == "acme":
        from jupyterd.cli.cert import acme  # noqa: PLC0415 - as in main

        code = _told(lambda: acme.obtain(args))
        if code:
            return code
    if args.what == "install":
        from jupyterd.tls import collect  # noqa: PLC0415 - as above

        args.read = collect.read_by_root(args.files)
    return as_the_account()


def main(args: argparse.Namespace) -> int:
    """Run the sub-verb; 1, with the reason on standard error, if it failed. Raises Invalid, OSError."""
    verb: Any = import_module("jupyterd.cli.cert." + ("install" if args.what == "remove" else args.what))
    return _told(lambda: verb.main(args))


def _told(work: Callable[[], int]) -> int:
    try:
        code = work()
    except subprocess.TimeoutExpired as error:
        return fail(f"{error.cmd[0]} did not finish within {error.timeout:.0f} s and was killed")
    except ValueError as error:
        return fail(str(error))
    return code
