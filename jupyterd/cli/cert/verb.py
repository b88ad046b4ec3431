"""`jupyterd cert`: show, make, install or fetch the certificate, and tell the running server of it."""

from __future__ import annotations

import argparse
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

from jupyterd.cli import _common
from jupyterd.cli._common import fail

HELP = "Show the certificate, or serve another one: your own, one of Let's Encrypt, or one that your devices trust."


def arguments(parser: argparse.ArgumentParser) -> None:
    """One sub-verb for each thing to do."""
    verbs = parser.add_subparsers(title="what to do", dest="what", metavar="WHAT", required=True)

    def verb(name: str, text: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=text, description=text, allow_abbrev=False)
        _common.which_arguments(made)
        return made

    show = verb("show", "what is served, for which names, until when, and what else lies there")
    show.add_argument("--json", action="store_true", help="for programs")
    show.add_argument("--authority", action="store_true", help="only the authority's certificate, as a PEM file")
    new = verb("new", "make an authority of this machine's own: devices trust it once, and never see a warning again")
    new.add_argument("--new-authority", action="store_true", help="another one in place of the present one")
    install = verb("install", "serve this certificate from now on: checked first, then taken over live")
    install.add_argument("files", nargs="+", type=Path, metavar="FILE", help="certificate, key, chain, in any order")
    verb("remove", "take an installed certificate away; the one that was made here is served again")
    acme = verb("acme", "get a certificate from Let's Encrypt (or another ACME server) and have it renewed, by certbot")
    acme.add_argument("--domain", action="append", required=True, metavar="D", help="host name; may be repeated")
    acme.add_argument("--email", required=True, metavar="E", help="for the certificate authority's warnings")
    acme.add_argument("--server", metavar="URL", help="the ACME directory (default: Let's Encrypt)")
    acme.add_argument("--webroot", type=Path, metavar="DIR", help="of a web server that has port 80 here already")
    acme.add_argument("--http-port", type=int, default=80, metavar="N", help="where port 80 ends up, if forwarded")
    acme.add_argument("--agree-tos", action="store_true", help="agree to the authority's terms without being asked")


def main(args: argparse.Namespace) -> int:
    """1 when it was not done; the reason is on standard error."""
    verb: Any = import_module("jupyterd.cli.cert." + ("install" if args.what == "remove" else args.what))
    try:
        code: int = verb.main(args)
    except subprocess.TimeoutExpired as error:
        return fail(f"{error.cmd[0]} did not finish within {error.timeout:.0f} s and was killed")
    except ValueError as error:
        return fail(str(error))
    return code
