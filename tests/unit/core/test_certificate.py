"""The certificate in the core: its health items by the share of its lifetime, and what follows when it changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.worlds import plan

from jupyterd.core import conditions, journal_kinds, step
from jupyterd.core.child import Running, Serving, Spawning, StartedWith, Stopped
from jupyterd.core.effects import Record, SendToServer
from jupyterd.core.events import PlanMade, ServerSaid, WallClock
from jupyterd.core.world import Listening, World
from jupyterd.protocol.plan import Certificate, Plan
from jupyterd.protocol.server_channel import LookAgain, Reload
from jupyterd.protocol.status import ProcessIdentity

DAY_S = 86400.0
BEGIN_S = 1_900_000_000.0
NOW_S = 5000.0
"""Monotonic."""


def items(day: float, life_days: float = 90.0, source: str = "installed") -> list[tuple[str, str, str, str]]:
    """(code, severity, text, advice) on that day of the certificate's life."""
    pair = Certificate("/c.pem", "aa", BEGIN_S, BEGIN_S + life_days * DAY_S, ("a",), self_signed=False, source=source)
    clock = WallClock(BEGIN_S + day * DAY_S - NOW_S, 0)
    world = World(plan=replace(plan(), certificate=pair), clock=clock)
    found = conditions.current(world, NOW_S)
    return [
        (each.kind.code, each.kind.severity, each.text, each.advice)
        for each in found
        if each.kind.code.startswith("certificate")
    ]


@pytest.mark.parametrize(
    ("day", "life_days", "code", "severity"),
    [
        (-0.1, 90, "certificate-not-yet-valid", "error"),
        (59.9, 90, None, ""),
        (60.1, 90, "certificate-ends", "warning"),
        (80.9, 90, "certificate-ends", "warning"),
        (81.1, 90, "certificate-almost-over", "error"),
        (89.9, 90, "certificate-almost-over", "error"),
        (90.1, 90, "certificate-expired", "error"),
        (29.9, 45, None, ""),
        (30.1, 45, "certificate-ends", "warning"),
        (40.6, 45, "certificate-almost-over", "error"),
        (3.9, 6, None, ""),
        (4.1, 6, "certificate-ends", "warning"),
        (5.5, 6, "certificate-almost-over", "error"),
    ],
)
def test_by_share_of_its_lifetime(day: float, life_days: float, code: str | None, severity: str) -> None:
    found = items(day, life_days)
    assert [each[:2] for each in found] == ([(code, severity)] if code else [])
    assert all(text and advice for _, _, text, advice in found)


@pytest.mark.parametrize(("day", "words"), [(60.1, "in 29 days"), (88.5, "in 1 day"), (89.5, "in less than a day")])
def test_the_days_are_counted(day: float, words: str) -> None:
    assert items(day)[0][2].endswith(words)


@pytest.mark.parametrize(
    ("source", "advice"),
    [
        ("settings", "renew it at its source; jupyterd notices the new file automatically"),
        ("installed", "if certbot made it: sudo certbot renew; otherwise: jupyterd cert install FILES"),
        (
            "local",
            "see why it was not renewed automatically: journalctl -u jupyterd -p warning; then jupyterd cert new",
        ),
        ("self-signed", "see why it was not renewed automatically: journalctl -u jupyterd -p warning"),
        ("of a later version", "renew it at its source; jupyterd notices the new file automatically"),
    ],
)
def test_the_advice_fits_where_it_comes_from(source: str, advice: str) -> None:
    assert items(70, source=source)[0][3] == advice


def test_nothing_is_said_before_the_clock_is_known() -> None:
    pair = Certificate("/c.pem", "aa", 0.0, 1.0, ("a",), self_signed=False)
    assert not [*conditions.current(World(plan=replace(plan(), certificate=pair)), NOW_S)]


def serving(made: Plan) -> World:
    server = Running(
        ProcessIdentity(7, 1), StartedWith(made.server_key, made.live_key, made.listen), Serving(0.0, made.live_key)
    )
    return World(plan=made, server=server, sockets=Listening(made.listen, (), None))


def test_the_server_asks_and_a_planner_looks_at_once() -> None:
    world, _ = step.step(serving(plan()), ServerSaid(7, LookAgain("/c.pem changed")), NOW_S, 0.0)
    assert isinstance(world.planner, Spawning)
    assert world.replan_at is None
    assert not world.reload.reading


def test_somebody_who_is_not_the_server_asks_in_vain() -> None:
    world, _ = step.step(serving(plan()), ServerSaid(8, LookAgain("/c.pem changed")), NOW_S, 0.0)
    assert isinstance(world.planner, Stopped)


def test_another_certificate_is_told_to_the_server_and_recorded_once() -> None:
    before = plan()
    after = replace(
        before, live_key="l1", certificate=Certificate("/c.pem", "bb", 0.0, 90 * DAY_S, ("a", "b"), self_signed=False)
    )
    world, effects = step.step(serving(before), PlanMade(after), NOW_S, 0.0)
    assert SendToServer(Reload("l1")) in effects
    (record,) = [each for each in effects if isinstance(each, Record) and each.kind is journal_kinds.CERTIFICATE]
    assert "valid until 1970-04-01, for a, b" in record.message
    assert ("CERTIFICATE_SHA256", "bb") in record.fields
    _, effects = step.step(world, PlanMade(after), NOW_S, 0.0)
    assert not [each for each in effects if isinstance(each, Record) and each.kind is journal_kinds.CERTIFICATE]
