"""`jupyterd doctor`: looks at everything that keeps a server from working, or a person from reaching it, and says what
to type. Changes nothing. Exit 0: nothing is wrong. 1: something is.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from jupyterd import __version__
from jupyterd.cli import _common, as_account, ssh, typed
from jupyterd.cli.doctor import (
    certificate,
    clock,
    disk,
    environment,
    facts,
    jupyter,
    kernels,
    limits,
    login,
    manager,
    nvidia,
    page,
    port,
    reach,
    sandbox,
    service,
    settings,
    systemd_version,
    torch,
    verdict,
)
from jupyterd.cli.doctor.facts import ServerFacts, Subject
from jupyterd.cli.doctor.firewall import verdicts as firewall
from jupyterd.cli.doctor.verdict import Examination, Verdict
from jupyterd.linux import mounts

HELP = "say what is wrong with this machine, account and server, and what to type (exit 1: something is wrong)"
FORMAT = 1
NARROWEST, WIDEST = 60, 100
_LOOK_S, _PROGRAMS_S = 10.0, 15.0
_ACCOUNT_S, _DEEP_S = 60.0, 600.0
"""How long root waits for everything that the account says of itself."""


@dataclass(frozen=True, slots=True)
class OfAccount:
    """What the account's own process has found. `base` is None where it could not even say which server is meant."""

    verdicts: tuple[Verdict, ...]
    base: ServerFacts | None


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("--json", action="store_true", help="print JSON, for a bug report; it holds no secret")
    parser.add_argument("--deep", action="store_true", help="also start each kernel once (up to a minute each)")
    _common.which_arguments(parser)


def by_root(args: argparse.Namespace, _: Callable[[], int]) -> int:
    """Root looks at the machine itself, and lets the account look at what is the account's."""
    here, who = _common.meant(args)
    if who is None:
        return main(args)
    environ = _common.environment_of(here, who)

    def question() -> OfAccount:
        os.environ.update(environ)
        return of_account(args)

    try:
        found = as_account.ask(who, question, OfAccount, _DEEP_S if args.deep else _ACCOUNT_S)
    except (OSError, ValueError) as error:
        found = OfAccount((Verdict("account", "unknown", f"{who.name}'s own side: {error}"),), None)
    return _show(args, found)


def main(args: argparse.Namespace) -> int:
    """The exit code."""
    return _show(args, of_account(args))


def of_account(args: argparse.Namespace) -> OfAccount:
    """What only the account may look at, or can say."""
    found: list[Subject] = []

    def look() -> tuple[Verdict, ...]:
        found.append(facts.look(args.which, deep=args.deep))
        return ()

    verdicts = verdict.examine([Examination("account", look, _LOOK_S)])  # its home may be on a disk that hangs
    if not found:
        return OfAccount(verdicts, None)
    what = found[0]
    return OfAccount(verdict.examine(account_side(what)), what.base)


def account_side(what: Subject) -> tuple[Examination, ...]:
    """Of the server, its settings, and the account's directories and kernels."""
    where = disk.places(what)
    return (
        Examination(service.SUBJECT, lambda: service.examine(what)),
        Examination(settings.SUBJECT, lambda: settings.examine(what)),
        Examination(reach.SUBJECT, lambda: reach.examine(what)),
        Examination(certificate.SUBJECT, lambda: certificate.examine(what)),
        Examination(login.SUBJECT, lambda: login.examine(what)),
        Examination(disk.SUBJECT, lambda: disk.examine(where)),
        Examination(disk.MOUNTS, lambda: disk.examine_mounts(where, mounts.own(), _text("/etc/fstab"))),
        Examination(limits.SUBJECT, lambda: limits.examine(what)),
        Examination(systemd_version.SUBJECT, lambda: systemd_version.examine(what.asked.account.uid)),
        Examination(manager.SUBJECT, lambda: manager.examine(what)),
        Examination(kernels.SUBJECT, lambda: kernels.examine(what), _DEEP_S if what.deep else _PROGRAMS_S),
        Examination(environment.SUBJECT, lambda: environment.examine(what), environment.WITHIN_S + 1),
        Examination(jupyter.SUBJECT, lambda: jupyter.examine(what)),
        Examination(nvidia.SUBJECT, nvidia.examine),
        Examination(torch.SUBJECT, lambda: torch.examine(facts.default_environment(what)), torch.WITHIN_S + 1),
    )


def machine_side(base: ServerFacts) -> tuple[Examination, ...]:
    """Of the machine; root sees more of it."""
    return (
        Examination(port.SUBJECT, lambda: port.examine(base)),
        Examination(firewall.SUBJECT, lambda: firewall.examine(base), _PROGRAMS_S),
        Examination(clock.SUBJECT, clock.examine),
        Examination(sandbox.SUBJECT, lambda: sandbox.examine(base), _PROGRAMS_S),
        Examination(firewall.OUTSIDE, lambda: firewall.outside(base, ssh.here())),
    )


def _show(args: argparse.Namespace, found: OfAccount) -> int:
    more = () if found.base is None else verdict.examine(machine_side(found.base))
    verdicts = verdict.tidied((*found.verdicts, *more))
    if args.json:
        print(json.dumps({"format": FORMAT, "version": __version__, "verdicts": [*map(asdict, verdicts)]}, indent=1))
    else:
        screen = page.Screen(_common.columns(NARROWEST, WIDEST), _common.has_colour())
        sys.stdout.write(page.page([_as_typed(each) for each in verdicts], screen))
    return _common.TROUBLE if any(each.level == "wrong" for each in verdicts) else _common.DONE


def _as_typed(each: Verdict) -> Verdict:
    """With this program's commands as this person types them."""
    text, *advice = (typed.commands(line, os.environ) for line in (each.text, *each.advice))
    return Verdict(each.subject, each.level, text, tuple(advice))


def _text(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
