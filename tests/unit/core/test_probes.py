"""Which address is asked when and for how long, what an answer means, and what all answers together mean."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.worlds import CLOCK, LAN, LOCAL, LOCAL6, NOW, PLAN, V4, V6, after, bad, good, of, play, serving, verifying

from jupyterd.core import probes
from jupyterd.core.effects import Effect, Probe
from jupyterd.core.events import DeadlineCame, ProbeEnded
from jupyterd.core.probes import Probing
from jupyterd.core.world import World
from jupyterd.protocol.plan import Target
from jupyterd.protocol.policy import Policy

POLICY = Policy(suspect_after_s=2.0, hang_after_s=11.0)
QUIET = replace(PLAN, policy=replace(PLAN.policy, spare=False))


def asked(effects: tuple[Effect, ...]) -> dict[str, float]:
    """Which addresses are probed, and with what time-out."""
    return {each.target.name: each.timeout_s for each in of(Probe, effects)}


def at(world: World, seconds: float, *answers: ProbeEnded) -> tuple[World, dict[str, float]]:
    """(the world, what is asked) when that time has come, so many seconds after NOW, or these answers have."""
    world, effects = play(world, *(answers or (DeadlineCame(),)), now=NOW + seconds)
    return world, asked(effects)


# --- when and how long --------------------------------------------------------------------------------------------


def test_every_address_is_asked_as_soon_as_the_server_says_that_it_is_ready() -> None:
    began = [each.began for each in verifying().probes]
    assert began == [NOW, NOW, NOW]


def test_a_probe_says_what_to_ask_and_which_certificate_to_expect() -> None:
    made = replace(QUIET, base_url="/lab/")
    _, effects = play(serving(made), DeadlineCame(), now=NOW + 4)
    assert of(Probe, effects) == [Probe(LOCAL, "/lab/api", "aa", 11.0)]
    plain = replace(QUIET, certificate=None)
    world = after(verifying(plain), *[ProbeEnded(each, None, None, CLOCK) for each in (LOCAL, LOCAL6, LAN)])
    _, effects = play(world, DeadlineCame(), now=NOW + 4)
    assert of(Probe, effects) == [Probe(LOCAL, "/api", None, 11.0)]


def test_the_first_address_is_asked_each_4_s_and_the_others_each_60_s() -> None:
    world, times = serving(QUIET), []
    for second in range(1, 65):
        world, names = at(world, second)
        times += [(second, name, timeout) for name, timeout in names.items()]
        for each in (LOCAL, LOCAL6, LAN):
            if each.name in names:
                world, _ = at(world, second, good(each))
    assert times == [(second, "localhost", 11.0) for second in range(4, 60, 4)] + [
        (60, "localhost", 11.0), (60, "::1", 11.0), (60, "gpu.lan", 11.0), (64, "localhost", 11.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "names"),
    [
        (5.9, {}),
        (6.0, {"::1": 9.0, "gpu.lan": 9.0}),  # as long as the first has left
        (10.0, {"::1": 5.0, "gpu.lan": 5.0}),
        (14.9, {"::1": 1.0, "gpu.lan": 1.0}),  # and never less than a second
        (30.0, {"::1": 1.0, "gpu.lan": 1.0}),
    ],
)
def test_the_others_are_asked_at_once_when_the_first_is_in_doubt(seconds: float, names: dict[str, float]) -> None:
    world, _ = at(serving(QUIET), 4)
    world, found = at(world, seconds)
    assert found == pytest.approx(names)


def test_the_doubt_has_a_deadline_of_its_own() -> None:
    world, _ = at(serving(QUIET), 4)
    assert probes.deadline(world.probes, QUIET.policy) == NOW + 6
    world, _ = at(world, 6)
    assert probes.deadline(world.probes, QUIET.policy) is None  # all are being asked


def test_in_doubt_each_of_the_others_is_asked_once() -> None:
    world, _ = at(serving(QUIET), 4)
    world, _ = at(world, 6)
    world, found = at(world, 6.5, good(LOCAL6), good(LAN))
    assert found == {}
    assert at(world, 9)[1] == {}


def test_a_refused_first_address_has_the_others_asked_without_waiting() -> None:
    world, _ = at(serving(QUIET), 4)
    _, found = at(world, 4, bad(LOCAL, "connection refused"))
    assert found == {"::1": 11.0, "gpu.lan": 11.0}


def test_a_failed_address_is_asked_again_each_second_and_sooner_until_it_serves() -> None:
    world, _ = at(serving(QUIET), 4)
    world, _ = at(world, 5, bad(LOCAL, "connection refused"))
    assert world.probes[0].next_at == NOW + 6
    world, _ = at(verifying(QUIET), 5, bad(LOCAL, "connection refused"))
    assert world.probes[0].next_at == NOW + 5.25


# --- one answer ---------------------------------------------------------------------------------------------------

WAITS = Probing(LOCAL6, began=100.0, asked=100.0)
GOOD = replace(WAITS, good_since=40.0)
FAILS = replace(WAITS, failing_since=90.0, problem="connection refused")
OTHER = "serves a different certificate than the one on disk"


@pytest.mark.parametrize(
    ("before", "answer", "then"),
    [
        (WAITS, good(LOCAL6), Probing(LOCAL6, 163.0, None, 100.0, good_since=103.0)),
        (GOOD, good(LOCAL6), Probing(LOCAL6, 163.0, None, 100.0, good_since=40.0)),
        (FAILS, good(LOCAL6), Probing(LOCAL6, 163.0, None, 100.0, good_since=103.0)),
        (WAITS, bad(LOCAL6, "no route"), Probing(LOCAL6, 104.0, None, 100.0, None, 100.0, "no route")),
        (GOOD, bad(LOCAL6, "no route"), Probing(LOCAL6, 104.0, None, 100.0, None, 100.0, "no route")),
        (FAILS, bad(LOCAL6, "no route"), Probing(LOCAL6, 104.0, None, 100.0, None, 90.0, "no route")),
        (
            GOOD,
            ProbeEnded(LOCAL6, OTHER, "bb", CLOCK),
            Probing(LOCAL6, 104.0, None, 100.0, None, 100.0, OTHER, wrong_certificate=True),
        ),
        (GOOD, ProbeEnded(LOCAL6, "503", "aa", CLOCK), Probing(LOCAL6, 104.0, None, 100.0, None, 100.0, "503")),
        (replace(GOOD, began=None), bad(LOCAL6), replace(GOOD, began=None)),  # nobody waits for it any more
        (GOOD, bad(LAN), GOOD),
    ],
)
def test_what_an_answer_changes(before: Probing, answer: ProbeEnded, then: Probing) -> None:
    first = Probing(LOCAL, next_at=110.0, good_since=1.0)
    found = probes.apply_answer((first, before), answer, 103.0, Policy(), verifying=False, expected="aa")
    assert found == (first, then)


# --- all answers together -----------------------------------------------------------------------------------------


def probing(target: Target, *, failing: float | None = None, began: float | None = None, **more: object) -> Probing:
    return Probing(target, failing_since=failing, began=began, **more)  # type: ignore[arg-type]  # its own fields


@pytest.mark.parametrize(
    ("failing", "hung"),
    [
        ((None, None, None), None),
        ((100.0, 102.0, None), None),  # one of them answers
        ((None, 102.0, 102.0), None),
        ((100.0, 100.0, 100.0), 109.0),
        ((100.0, 102.0, 102.5), 111.5),
    ],
)
def test_when_it_counts_as_hung(failing: tuple[float | None, ...], hung: float | None) -> None:
    all_of_them = [probing(each, failing=since) for each, since in zip((LOCAL, LOCAL6, LAN), failing, strict=True)]
    assert probes.hung_at(all_of_them, POLICY) == hung


def test_an_address_with_another_certificate_says_nothing_about_a_hang() -> None:
    strange = probing(LAN, failing=100.0, wrong_certificate=True)
    assert probes.hung_at([probing(LOCAL, failing=100.0), strange], POLICY) == 109.0
    assert probes.hung_at([strange], POLICY) is None
    assert probes.hung_at([], POLICY) is None


@pytest.mark.parametrize(
    ("first", "alarm"),
    [
        (probing(LOCAL, next_at=110.0), None),
        (probing(LOCAL, began=100.0), 102.0),
        (probing(LOCAL, failing=95.0, next_at=110.0), 95.0),
        (probing(LOCAL, failing=95.0, began=100.0), 95.0),
    ],
)
def test_from_when_on_the_first_is_in_doubt(first: Probing, alarm: float | None) -> None:
    assert probes.alarm_at([first, probing(LAN, failing=1.0)], POLICY) == alarm
    assert probes.alarm_at([], POLICY) is None


@pytest.mark.parametrize(
    ("answered", "proved"),
    [
        ((), False),
        ((LOCAL,), False),
        ((LOCAL, LAN), False),
        ((LOCAL, LOCAL6), True),
        ((LOCAL, LOCAL6, LAN), True),
    ],
)
def test_it_serves_once_each_socket_has_answered(answered: tuple[Target, ...], *, proved: bool) -> None:
    all_of_them = [Probing(each, good_since=1.0 if each in answered else None) for each in PLAN.targets]
    assert probes.all_answered(all_of_them) is proved


def test_without_an_address_nothing_is_proved() -> None:
    assert not probes.all_answered([])
    assert not probes.all_answered([Probing(LAN, good_since=1.0)])


@pytest.mark.parametrize(
    ("opened", "names"),
    [((V4, V6), ["localhost", "::1", "gpu.lan"]), ((V4,), ["localhost", "gpu.lan"]), ((V6,), ["::1"]), ((), [])],
)
def test_only_addresses_of_open_sockets_are_asked(opened: tuple[object, ...], names: list[str]) -> None:
    assert [each.target.name for each in probes.initial(PLAN, opened, NOW)] == names  # type: ignore[arg-type]
