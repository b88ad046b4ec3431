"""Whether the server runs and serves, and every problem that its supervisor reports."""

from __future__ import annotations

from collections.abc import Iterator

from jupyterd.cli.doctor.facts import Subject
from jupyterd.cli.doctor.verdict import Level, Verdict
from jupyterd.cli.status import beside
from jupyterd.cli.status.page import LOGS
from jupyterd.cli.status.read import ServerStatus
from jupyterd.linux import local_time

SUBJECT = "server"
_SUBJECTS = {
    "settings": "settings", "certificate": "certificate", "root-dir-hidden": "hidden files", "root-dir": "disk",
    "state": "disk", "set-aside": "disk", "foreign": "jupyter", "replaced": "jupyter", "user-manager": "user manager",
    "gpu": "gpu", "live-refused": "settings", "address": "addresses", "port": "port",
}  # fmt: skip
"""Beginning of a health item's code, or of a planner's trouble -> subject; else it is the server's."""

_EXAMINED_NOW = frozenset({
    "user-manager", "certificate-expired", "certificate-not-yet-valid", "certificate-ends", "certificate-almost-over",
})  # fmt: skip
"""Health items that another examination here sees by itself."""


def subject_of(code: str) -> str:
    """The subject that a code belongs to."""
    return next((subject for start, subject in _SUBJECTS.items() if code.startswith(start)), SUBJECT)


def examine(what: Subject) -> Iterator[Verdict]:
    """As its supervisor, systemd and the last failed start say."""
    for each in what.services:
        if each.unit is not None and each.unit.trouble:
            log = "journalctl -u jupyterd -n 20" if each.unit.which == "service" else LOGS["user"]
            yield Verdict(SUBJECT, "wrong", each.unit.trouble, (log,))
        if each.failed is not None:
            for problem in each.failed.problems:
                at = local_time.moment(each.failed.at)
                yield Verdict(SUBJECT, "wrong", f"the start at {at} failed: {problem}")
    if what.running is None:
        yield _absent(what)
        return
    yield _life(what.running)
    for item in what.running.snapshot.items:
        if item.code in _EXAMINED_NOW:
            continue
        level: Level = "wrong" if item.severity == "error" else "notice"
        yield Verdict(subject_of(item.code), level, item.text, (item.advice,) if item.advice else ())


def _life(found: ServerStatus) -> Verdict:
    told = found.snapshot
    if found.life == "halted":
        pid = found.supervisor.process.pid
        return Verdict(SUBJECT, "wrong", f"its supervisor is suspended (pid {pid})", (f"kill -CONT {pid}",))
    if told.state != "serving":
        return Verdict(SUBJECT, "wrong", f"does not serve: {told.status}", ("jupyterd status",))
    return Verdict(SUBJECT, "good", f"serves at {told.where} since {local_time.moment(told.since)}")


def _absent(what: Subject) -> Verdict:
    running = beside.running((what.paths,), what.services)
    if running:
        return Verdict(SUBJECT, "wrong", f"{running}, but reports nothing", ("journalctl -u jupyterd -e",))
    if what.nothing.denied:
        text = "the service of this machine belongs to another account"
        return Verdict(SUBJECT, "notice", text, ("sudo jupyterd doctor",))
    units = [each.unit for each in what.services if each.unit is not None]
    if units and units[0].which == "service":
        return Verdict(SUBJECT, "wrong", "is installed and does not run", ("sudo systemctl start jupyterd",))
    if units:
        return Verdict(SUBJECT, "wrong", "is set up and does not run", ("systemctl --user start jupyterd",))
    if what.paths.mode == "service":
        return Verdict(SUBJECT, "notice", "there is no service on this machine yet", ("sudo jupyterd setup",))
    return Verdict(SUBJECT, "notice", "no server of yours runs", ("jupyterd run",))
