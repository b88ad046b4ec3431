"""Which account the service will run as, and the question before anything is written. The first half of ./install.

Runs from the checkout before there is an environment: standard library only.
"""

from __future__ import annotations

import argparse
import os
import pwd
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TextIO

from jupyterd.cli.setup import options, tried
from jupyterd.cli.setup.tried import Tried
from jupyterd.cli.setup.unit_files import DROP_IN
from jupyterd.linux import accounts, unit_file
from jupyterd.text import for_terminal

_HUMANS = range(1000, 60000)
"""FIRST_UID to LAST_UID of adduser.conf(5)."""

_DEFAULT_PORT = 8888
"""server.port of settings/schema.py, which needs an environment."""


@dataclass(frozen=True, slots=True)
class PasswdEntry:
    """One line of the password database, as far as it matters here."""

    name: str
    uid: int
    shell: str


@dataclass(frozen=True, slots=True)
class Undecided:
    """No account, or more than one, could be meant; `advice` says what to type."""

    advice: str


def present() -> str | None:
    """The account of the installed service; None if there is no service."""
    try:
        return unit_file.read_plain(DROP_IN.read_text(), "User")
    except FileNotFoundError:
        return None


def choose(named: str | None, environ: Mapping[str, str], accounts: Iterable[PasswdEntry]) -> PasswdEntry | Undecided:
    """The account of --account, else the one that called sudo, else the only human account."""
    known = {each.name: each for each in accounts}
    if named is not None:
        return known.get(named) or Undecided(f"there is no account {named!r}. To make it: adduser {named}")
    caller = known.get(environ.get("SUDO_USER", ""))
    if caller is not None and caller.uid != 0:
        return caller
    humans = [each for each in known.values() if each.uid in _HUMANS and _can_log_in(each)]
    match humans:
        case [only]:
            return only
        case []:
            return Undecided(
                "this machine has no account except root. Make one (adduser NAME) and type: ./install --account NAME\n"
                "or run notebooks as root: ./install --account root"
            )
        case _:
            names = ", ".join(each.name for each in humans)
            return Undecided(f"which account should it run as? Type: ./install --account NAME   (one of: {names})")


def _can_log_in(account: PasswdEntry) -> bool:
    return account.shell.rsplit("/", 1)[-1] not in {"nologin", "false", "sync", ""}


def agreed(account: PasswdEntry, target: str, answers: TextIO, questions: TextIO, earlier: Tried | None = None) -> bool:
    """Shows what will be done and asks; Enter means yes."""
    if earlier is not None and earlier.runs:
        print(for_terminal(f"{earlier.shown} still runs; you will be asked whether to end it.\n"), file=questions)
    print(
        f"jupyterd will be installed as a service that runs as {account.name}:\n"
        f"  {target}   the program\n"
        "  /usr/local/bin/jupyterd   the command\n"
        "  /etc/jupyterd/jupyterd.toml   settings (existing ones are kept; else a few questions follow)\n"
        "  /usr/local/lib/systemd/system/jupyterd.service   enabled: it starts at boot\n"
        f"  /var/lib/jupyterd   state, and the Python environment of notebooks; only for {account.name}\n"
        f"and processes of {account.name} keep running after logout (loginctl enable-linger).",
        file=questions,
    )
    print("Continue? [Y/n] ", end="", file=questions, flush=True)
    line = answers.readline()
    return line != "" and line.strip().lower() in {"", "y", "yes"}


def main() -> int:
    """Prints the account's name; questions and errors go to standard error."""
    parser = argparse.ArgumentParser(
        prog="./install", description="Install jupyterd as the systemd service of one account, and set it up.",
        allow_abbrev=False,
    )  # fmt: skip
    options.add(parser)
    parser.add_argument("--target", required=True, help=argparse.SUPPRESS)
    args = parser.parse_args()
    chosen = for_service(args.account)
    if isinstance(chosen, Undecided):
        print(f"jupyterd: {chosen.advice}", file=sys.stderr)
        return 2
    account = chosen
    if args.dry_run:
        print("jupyterd: --dry-run works only once jupyterd is installed: jupyterd setup --dry-run", file=sys.stderr)
        return 2
    earlier = _earlier(account)
    if args.yes and earlier is not None and earlier.is_in_the_way(_wanted_port(args.port)) and not args.end_run:
        print(for_terminal(f"jupyterd: {in_the_way(earlier)}"), file=sys.stderr)
        return 2
    if not args.yes:
        if not sys.stdin.isatty():
            print("jupyterd: there is no terminal to ask questions. Type: sudo ./install --yes", file=sys.stderr)
            return 2
        if not agreed(account, args.target, sys.stdin, sys.stderr, earlier):
            print("jupyterd: nothing was changed", file=sys.stderr)
            return 1
    print(account.name)
    return 0


def in_the_way(earlier: Tried) -> str:
    """The sentence for somebody who cannot be asked."""
    return (
        f"{earlier.shown} still runs, on the port of the service. To end it with its kernels, add --end-run; "
        "to keep it, add --port NUMBER"
    )


def _earlier(account: PasswdEntry) -> Tried | None:
    """What the account has tried; None where it does not say, or has its service already."""
    if present() is not None:
        return None
    try:
        return tried.find(accounts.account(account.uid, {}, service=True))
    except (OSError, ValueError):
        return None


def _wanted_port(typed: str | None) -> object:
    return _DEFAULT_PORT if typed is None else int(typed) if typed.isdigit() else None


def for_service(named: str | None) -> PasswdEntry | Undecided:
    """The account `named`, else the one of the installed service, else what choose() finds."""
    named = named or present()
    accounts = [PasswdEntry(entry.pw_name, entry.pw_uid, entry.pw_shell) for entry in pwd.getpwall()]
    if named is not None and named not in {each.name for each in accounts}:
        accounts += _looked_up(named)
    return choose(named, os.environ, accounts)


def _looked_up(name: str) -> list[PasswdEntry]:
    # Directory services (LDAP, SSSD) know accounts that they do not list.
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return []
    return [PasswdEntry(entry.pw_name, entry.pw_uid, entry.pw_shell)]


if __name__ == "__main__":
    sys.exit(main())
