"""The `jupyterd` command. It knows the verbs by name and imports only the one that is called.

Exit codes: 0 success, 1 failure, 2 usage, 3 not running, 75 not now (another jupyterd is running, or the
server would wait for the machine), 78 invalid settings, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Protocol, cast

from jupyterd import __version__

VERBS = {
    "setup": "install a permanent server, or change its password, address, ...",
    "run": "run the server, in this terminal or as the systemd service",
    "status": "show whether the server works, and what is wrong",
    "doctor": "find out what is wrong, and what to type",
    "stop": "stop a server of ./run whose terminal is gone",
    "reload": "apply changed settings, and wait until they are in effect",
    "password": "set the password of the login page",
    "token": "print a one-time link to log in with",
    "cert": "show the certificate, or use another one",
    "kernels": "list, interrupt, restart or stop kernels, even without a server",
    "gpu": "show which notebooks use the GPUs, now or over time",
    "config": "show or check the settings",
    "env": "list your Python environments, or add one to notebooks",
    "uninstall": "remove the service and the program; says what stays and why",
    "kernel-env": "create or repair the Python environment of notebooks",
}
PACKAGES = ("setup", "status", "doctor", "cert", "gpu", "env")
"""Verbs that are packages; their entry point is verb.py."""


class Verb(Protocol):
    """The interface of a verb's module. `main` runs as the account whose server is meant. What root has to do itself is
    in a function `by_root(args, as_the_account)` beside it, which calls `as_the_account(typed)` for `main` and
    returns an exit code. Where root is not the account itself, what `typed` returns is the standard input of `main`.
    """

    HELP: str
    arguments: Callable[[argparse.ArgumentParser], None]
    main: Callable[[argparse.Namespace], int]


def main(argv: list[str] | None = None) -> int:
    """Run the verb; returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in VERBS:
        verb = cast("Verb", import_module(_module(argv[0])))
        parser = argparse.ArgumentParser(prog=f"jupyterd {argv[0]}", description=verb.HELP, allow_abbrev=False)
        verb.arguments(parser)
        args = parser.parse_args(argv[1:])
        return _guarded(lambda: verb.main(args)) if os.geteuid() else _by_root(argv[0], verb, args)
    overview().parse_args(argv or ["--help"])
    return 2


def _by_root(name: str, verb: Verb, args: argparse.Namespace) -> int:
    from jupyterd.cli import _common  # noqa: PLC0415 - `jupyterd --help` needs none of them
    from jupyterd.linux import accounts  # noqa: PLC0415

    if name != "run":  # a server of root's own has the environment that root gave it
        own = accounts.roots_environment(os.environ)
        os.environ.clear()
        os.environ.update(own)

    def as_the_account(typed: Callable[[], bytes] = bytes) -> int:
        return _common.as_the_account(args, lambda: _guarded(lambda: verb.main(args)), typed)

    by_root = getattr(verb, "by_root", None)
    return _guarded(as_the_account if by_root is None else lambda: by_root(args, as_the_account))


def _guarded(work: Callable[[], int]) -> int:
    from jupyterd.cli import _common  # noqa: PLC0415 - as above
    from jupyterd.settings.problems import Invalid  # noqa: PLC0415

    try:
        code = work()
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _common.TROUBLE
    except KeyboardInterrupt:
        return _common.INTERRUPTED
    except Invalid as invalid:
        return _common.refuse(invalid)
    except OSError as error:
        return _common.fail(str(error))
    return code


def _module(verb: str) -> str:
    name = verb.replace("-", "_")
    return f"jupyterd.cli.{name}.verb" if verb in PACKAGES else f"jupyterd.cli.{name}"


def overview() -> argparse.ArgumentParser:
    """The parser for `jupyterd --help` and for verbs that do not exist."""
    parser = argparse.ArgumentParser(
        prog="jupyterd",
        description="Keeps one person's Jupyter server alive.",
        epilog="More about a verb: jupyterd VERB --help. The log of the service: journalctl -u jupyterd",
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=18),
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"jupyterd {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for name, text in VERBS.items():
        verbs.add_parser(name, help=text)
    return parser
