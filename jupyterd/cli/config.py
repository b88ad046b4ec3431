"""`jupyterd config`: show the settings and where they come from, check them, print the sample, hash a password."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Callable

from jupyterd.cli._common import EX_CONFIG, fail
from jupyterd.linux.accounts import account
from jupyterd.planner import plan
from jupyterd.protocol.plan import Refused
from jupyterd.settings import load, login_store, options, paths, sample, table
from jupyterd.settings.problems import Invalid
from jupyterd.settings.values import toml
from jupyterd.text import plural

HELP = "Show or check the settings."


def arguments(parser: argparse.ArgumentParser) -> None:
    """One sub-verb for each thing to do; `show` and `check` take the options of `run`, to ask "what if"."""
    verbs = parser.add_subparsers(title="what to do", dest="what", metavar="WHAT", required=True)
    for name, text in (
        ("show", "print every setting with its value"),
        ("check", "check the settings and list every problem (exit 78 if there is one)"),
    ):
        verb = verbs.add_parser(name, help=text, description=text, allow_abbrev=False)
        verb.add_argument(
            "--system", action="store_true", help="the settings of the machine's service (the default for root)"
        )
        if name == "show":
            verb.add_argument("--origin", action="store_true", help="show where each value comes from")
            verb.add_argument("--json", action="store_true", help="print JSON")
        options.add(verb)
    text = "print a sample jupyterd.toml with every setting"
    verbs.add_parser("sample", help=text, description=text, allow_abbrev=False)
    text = "ask for a password and print its hash for jupyterd.toml"
    verbs.add_parser("hash", help=text, description=text, allow_abbrev=False)


def by_root(args: argparse.Namespace, as_the_account: Callable[[], int]) -> int:
    """The sample and a hash are nobody's; what root could read would say nothing about the account's settings."""
    return main(args) if args.what in {"sample", "hash"} else as_the_account()


def main(args: argparse.Namespace) -> int:
    """78 when the settings are refused."""
    match args.what:
        case "sample":
            print(sample.text(), end="")
            return 0
        case "hash":
            return _hash()
    try:
        asked = _ask(args)
        return _show(args, asked) if args.what == "show" else _check(asked)
    except Invalid as invalid:
        return _refuse([str(each) for each in invalid.problems])


def _ask(args: argparse.Namespace) -> plan.Ask:
    environ, uid = os.environ, os.geteuid()
    where = paths.discover(environ, uid, "service" if args.system else None)
    who = account(uid, environ, service=where.mode == "service")
    given = load.sources(where.mode, args.config, environ, options.overrides(args), who)
    return plan.Ask((), given, environ, where, who)


def _show(args: argparse.Namespace, asked: plan.Ask) -> int:
    loaded = load.load(asked.sources)
    if args.json:
        print(json.dumps(_document(loaded, origin=args.origin), indent=1))
        return 0
    for section in table.SECTIONS:
        rows = [(f"{row.key} = {_shown(loaded, row)}", loaded.origins[row.name]) for row in section.settings]
        width = max(len(line) for line, _ in rows)
        print(f"[{section.name}]")
        for line, origin in rows:
            print(f"{line:{width}}  # {origin}" if args.origin else line)
        print()
    return 0


def _document(loaded: load.Loaded, *, origin: bool) -> dict[str, dict[str, object]]:
    document: dict[str, dict[str, object]] = {}
    for row in table.SETTINGS.values():
        value: object = table.value_of(loaded.settings, row)
        if row.secret:
            value = "(set)" if value else ""
        shown = {"value": value, "origin": str(loaded.origins[row.name])} if origin else value
        document.setdefault(row.section, {})[row.key] = shown
    return document


def _shown(loaded: load.Loaded, row: table.Setting) -> str:
    value = table.value_of(loaded.settings, row)
    return toml("(set)" if row.secret and value else value)


def _check(asked: plan.Ask) -> int:
    made = plan.make_plan(asked, write=False)
    if isinstance(made, Refused):
        return _refuse(list(made.problems))
    for trouble in made.waiting:
        print(f"the server would wait: {trouble.text}; {trouble.advice}", file=sys.stderr)
    for trouble in made.warnings:
        print(f"warning: {trouble.text}; {trouble.advice}", file=sys.stderr)
    print(f"The settings are valid: {made.account} serves {made.urls[0] if made.urls else 'nothing'}")
    return 0


def _refuse(problems: list[str]) -> int:
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{plural(len(problems), 'problem')}.", file=sys.stderr)
    return EX_CONFIG


def _hash() -> int:
    """The password is typed, or comes on standard input; it is never an argument."""
    from jupyter_server.auth.security import passwd  # noqa: PLC0415 - slow, and only this sub-verb needs it

    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if password != getpass.getpass("Repeat the password: "):
            return fail("the two passwords differ")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    fault = login_store.password_fault(password)
    if fault:
        return fail(fault)
    hashed: str = passwd(password)  # type: ignore[no-untyped-call]
    print(f"# put this under [login], in a file that nobody else can read\npassword_hash = {toml(hashed)}")
    return 0
