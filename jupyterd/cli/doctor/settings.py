"""The settings: everything that `jupyterd config check` says, each on the subject that it belongs to."""

from __future__ import annotations

from collections.abc import Iterator

from jupyterd.cli.doctor import service
from jupyterd.cli.doctor.facts import Subject
from jupyterd.cli.doctor.verdict import Verdict
from jupyterd.planner import plan
from jupyterd.protocol.plan import Refused

SUBJECT = "settings"


def examine(what: Subject) -> Iterator[Verdict]:
    """Blocks for as long as the disks do that the settings name."""
    if what.asked.account.uid == 0 and not what.is_installed:
        yield Verdict(SUBJECT, "unknown", "no server is set up on this machine, so there is nothing to check")
        return
    yield from _account(what)
    made = plan.make_plan(what.asked, write=False)
    if isinstance(made, Refused):
        for problem in made.problems:
            yield Verdict(SUBJECT, "wrong", problem)
        return
    yield Verdict(SUBJECT, "good", f"valid: {made.account} serves {made.urls[0] if made.urls else 'nothing'}")
    for trouble in made.waiting:
        yield Verdict(service.subject_of(trouble.code), "wrong", trouble.text, (trouble.advice,))
    for trouble in made.warnings:
        yield Verdict(service.subject_of(trouble.code), "notice", trouble.text, (trouble.advice,))


def _account(what: Subject) -> Iterator[Verdict]:
    """Who can do what a notebook does, and what the file browser hides."""
    who = what.asked.account
    if who.uid == 0:
        text = "is root: every notebook can do everything to this machine"
        yield Verdict("account", "notice", text, ("sudo jupyterd setup",))
    else:
        yield Verdict("account", "good", f"{who.name} (uid {who.uid}), an ordinary account")
    yield Verdict("hidden files", "good", "no part of the notebook directory's path is hidden from the file browser")
