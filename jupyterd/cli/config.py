"""`jupyterd config`: show the settings and where they come from, check them, print the sample, hash a password."""

from __future__ import annotations

import argparse
import errno
import getpass
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence

from jupyterd.cli._common import DONE, EX_CONFIG, EX_TEMPFAIL, fail
from jupyterd.linux import files, ports
from jupyterd.linux.accounts import account
from jupyterd.planner import plan
from jupyterd.protocol.plan import Plan, Refused, Trouble
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
        (
            "check",
            "check the settings, also against this machine, and list every problem (exit 78: invalid, 75: would wait)",
        ),
    ):
        verb = verbs.add_parser(name, help=text, description=text, allow_abbrev=False)
        verb.add_argument(
            "--system", action="store_true", help="the settings of the machine's service (the default for root)"
        )
        if name == "check":
            verb.add_argument("--reloading", action="store_true", help=argparse.SUPPRESS)  # ExecReload= of the units
        if name == "show":
            verb.add_argument("--origin", action="store_true", help="show where each value comes from")
            verb.add_argument("--json", action="store_true", help="print JSON")
        options.add(verb, everything=options.HELP_ALL in sys.argv)
    text = "print a sample jupyterd.toml with every setting"
    verbs.add_parser("sample", help=text, description=text, allow_abbrev=False)
    text = "ask for a password and print its hash for jupyterd.toml"
    verbs.add_parser("hash", help=text, description=text, allow_abbrev=False)


def by_root(args: argparse.Namespace, as_the_account: Callable[[], int]) -> int:
    """The sample and a hash are nobody's; what root could read would say nothing about the account's settings."""
    return main(args) if args.what in {"sample", "hash"} else as_the_account()


def main(args: argparse.Namespace) -> int:
    """78 when the settings are refused; 75 when they are valid and the server would wait for the machine."""
    match args.what:
        case "sample":
            print(sample.text(), end="")
            return 0
        case "hash":
            return _hash()
    try:
        asked = _ask(args)
        return _show(args, asked) if args.what == "show" else _check(asked, reloading=args.reloading)
    except Invalid as invalid:
        _print([str(each) for each in invalid.problems], (), ())
        return EX_CONFIG


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


def _check(asked: plan.Ask, *, reloading: bool) -> int:
    """78 for problems; 75 where the server would wait for the machine, except for a reload, which goes on then."""
    made = plan.make_plan(asked, write=False)
    waiting = [*made.waiting, *(_listening(made, asked) if isinstance(made, Plan) and not reloading else ())]
    problems = made.problems if isinstance(made, Refused) else ()
    _print(problems, waiting, made.warnings)
    if isinstance(made, Refused):
        return EX_CONFIG
    where = made.urls[0] if made.urls else "nothing"
    if waiting:
        print(f"The settings are valid, but {made.account} cannot serve {where} yet: see above")
        return DONE if reloading else EX_TEMPFAIL
    print(f"The settings are valid: {made.account} serves {where}")
    return DONE


def _listening(made: Plan, asked: plan.Ask) -> Iterator[Trouble]:
    """What keeps this machine from listening now. A port that our own server holds is no trouble."""
    runs = files.is_locked(asked.paths.lock)
    for each in made.listen:
        where = f"{each.host} port {each.port}"
        match ports.fault(each.host, each.port):
            case errno.EADDRINUSE if not runs:
                advice = f"type: sudo ss -ltnp 'sport = :{each.port}'   to see which, or choose another server.port"
                yield Trouble("port-busy", f"{where} is in use by another program", advice)
            case errno.EADDRNOTAVAIL:
                yield Trouble("address-missing", f"this machine does not have the address {each.host}", "type: ip addr")
            case errno.EACCES if asked.paths.mode != "service":
                advice = "choose a port from 1024 on, or install the service: sudo ./install"
                yield Trouble("port-forbidden", f"{made.account} may not listen on {where}", advice)


def _print(problems: Sequence[str], waiting: Sequence[Trouble], warnings: Sequence[Trouble]) -> None:
    for problem in problems:
        print(problem, file=sys.stderr)
    for trouble in waiting:
        print(f"{trouble.text}; the server would wait for it; {trouble.advice}", file=sys.stderr)
    for trouble in warnings:
        print(f"warning: {trouble.text}; {trouble.advice}", file=sys.stderr)
    if problems:
        print(f"{plural(len(problems), 'problem')}.", file=sys.stderr)


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
