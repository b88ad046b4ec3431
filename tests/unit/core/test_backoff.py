"""The failure score and the delay that follows from it, as numbers; and that the server's end uses both."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from support.worlds import NOW, PLAN, SERVER, SPARE, SPARED, after, good, match, of, play, serving, starting, verifying

from jupyterd.core import backoff, step
from jupyterd.core.apply_exit import gone
from jupyterd.core.backoff import Score
from jupyterd.core.child import BackingOff, Child, Killing, Stopped
from jupyterd.core.deadlines import enforce_deadlines
from jupyterd.core.effects import Abandon, Promote, Record, Spawn
from jupyterd.core.events import ChildExited, ChildStarted, DeadlineCame, Role, ServerSaid
from jupyterd.core.reasons import SettingsChanged, Signalled, StartTimeout, StopReason, Unresponsive
from jupyterd.core.world import Run, Stop, World
from jupyterd.protocol.policy import Policy
from jupyterd.protocol.server_channel import Ready
from jupyterd.protocol.status import ProcessIdentity

POLICY = Policy(failure_half_life_s=300.0, failure_threshold=3.0, backoff_max_s=60.0, backoff_jitter=0.25)
CRASH = ChildExited(Role.SERVER, SERVER, None, "SIGSEGV")


@pytest.mark.parametrize(
    ("value", "after_s", "left"),
    [
        (4.0, 0.0, 4.0),
        (4.0, 300.0, 2.0),
        (4.0, 600.0, 1.0),
        (1.0, 3000.0, 1 / 1024),
        (0.0, 60.0, 0.0),
        (4.0, -9.0, 4.0),
    ],
)
def test_the_score_halves_in_each_half_life(value: float, after_s: float, left: float) -> None:
    assert backoff.current(Score(value, 100.0), 100.0 + after_s, POLICY) == pytest.approx(left)


@pytest.mark.parametrize(("after_s", "value"), [(0.0, 3.0), (300.0, 2.0), (600.0, 1.5)])
def test_a_failure_adds_one_to_what_is_left(after_s: float, value: float) -> None:
    assert backoff.after_failure(Score(2.0, 100.0), 100.0 + after_s, POLICY) == Score(value, 100.0 + after_s)


@pytest.mark.parametrize(
    ("score", "first_s", "delay_s"),
    [
        (1.0, 0.0, 0.0),
        (3.0, 0.0, 0.0),  # at the threshold, not above it
        (3.5, 0.0, 2**0.5),
        (4.0, 0.0, 2.0),
        (5.0, 0.0, 4.0),
        (6.0, 0.0, 8.0),
        (8.0, 0.0, 32.0),
        (9.0, 0.0, 60.0),
        (2e9, 0.0, 60.0),
        (1.0, 5.0, 5.0),
        (4.0, 5.0, 10.0),
        (1.0, 0.5, 0.5),
        (4.0, 0.5, 2.0),  # above the threshold a first delay of less than a second counts as one
    ],
)
def test_above_the_threshold_each_failure_doubles_the_delay_up_to_the_most(
    score: float, first_s: float, delay_s: float
) -> None:
    assert backoff.delay_s(Score(score), replace(POLICY, backoff_first_s=first_s), 0.0) == pytest.approx(delay_s)


@pytest.mark.parametrize(
    ("score", "jitter", "delay_s"),
    [(4.0, 0.0, 2.0), (4.0, 0.5, 2.25), (4.0, 0.999, 2.4995), (1e3, 0.5, 67.5), (1.0, 0.9, 0.0)],
)
def test_jitter_adds_up_to_its_share(score: float, jitter: float, delay_s: float) -> None:
    assert backoff.delay_s(Score(score), POLICY, jitter) == pytest.approx(delay_s)


def test_no_jitter_where_none_is_wanted() -> None:
    assert backoff.delay_s(Score(4.0), replace(POLICY, backoff_jitter=0.0), 0.9) == 2.0


@pytest.mark.parametrize(
    ("before", "at", "jitter", "until", "when"),
    [
        (Score(3.0, NOW), NOW, 0.0, NOW + 2.0, "next start in 2.0 s"),
        (Score(3.0, NOW), NOW, 0.5, NOW + 2.25, "next start in 2.2 s"),
        (Score(4.0, NOW), NOW, 0.0, NOW + 4.0, "next start in 4.0 s"),
        (Score(4.0, NOW - 300.0), NOW, 0.0, NOW, "started again at once"),  # 2 and 1
        (Score(6.0, NOW - 300.0), NOW, 0.0, NOW + 2.0, "next start in 2.0 s"),  # 3 and 1
    ],
)
def test_a_crash_waits_by_the_score_of_that_moment(
    before: Score, at: float, jitter: float, until: float, when: str
) -> None:
    world = replace(serving(PLAN), score=before)
    world, effects = play(world, CRASH, now=at, jitter=jitter)
    assert match(Record, message=f"the server was ended by SIGSEGV; {when}") in effects
    if until > at:
        assert world.server == BackingOff(until, Signalled("SIGSEGV"))
        assert world.score.at == at


def test_a_day_without_a_failure_is_forgiven() -> None:
    world = after(replace(verifying(PLAN), score=Score(50.0, NOW)), CRASH, now=NOW + 86400.0)
    assert world.score.value == pytest.approx(1.0)
    assert not isinstance(world.server, BackingOff)


@pytest.mark.parametrize(
    ("world", "served_s", "value"),
    [
        (serving(PLAN), 1.0, 0.0),
        (serving(PLAN), 0.99, 4.0),
        (verifying(PLAN), 100.0, 4.0),  # it has said Ready, and nobody got an answer
        (starting(PLAN), 100.0, 4.0),
    ],
)
def test_only_an_end_before_it_has_served_for_a_moment_counts(world: World, served_s: float, value: float) -> None:
    world, effects = play(replace(world, score=Score(3.0, NOW + served_s)), CRASH, now=NOW + served_s)
    assert world.score == Score(value, NOW + served_s)
    assert bool(of(Spawn, effects)) is (value == 0.0), "back at once, or after a delay"
    when = "started again at once" if value == 0.0 else "next start in 2.0 s"
    assert match(Record, message=f"the server was ended by SIGSEGV; {when}") in effects


def test_a_server_that_is_killed_every_two_seconds_is_back_at_once_each_time() -> None:
    world, now, spare = serving(SPARED), NOW, SPARE
    for turn in range(60):
        now += 2.0
        server = world.server.process.pid
        world, effects = play(world, ChildExited(Role.SERVER, server, None, "SIGKILL"), now=now)
        assert of(Promote, effects) == [Promote(spare)]
        spare = 100 + turn
        answers = [good(each) for each in SPARED.targets]
        world = after(world, ServerSaid(world.server.process.pid, Ready()), *answers, now=now + 0.5)
        world = after(world, ChildStarted(Role.SPARE, spare, spare), now=now + 0.5)
    assert (world.restarts, world.score.value) == (60, 0.0)


@pytest.mark.parametrize(
    ("crashes", "served_s", "after_", "rest_s"),
    [
        (0, 2.0, 1, 0.0),
        (149, 2.0, 150, 0.0),
        (150, 2.0, 151, 2.0),
        (151, 59.9, 152, 4.0),
        (155, 2.0, 156, 60.0),
        (10**6, 2.0, 10**6 + 1, 60.0),
        (10**6, 60.0, 1, 0.0),
    ],
)
def test_very_many_crashes_in_a_row_are_started_again_less_and_less_often(
    crashes: int, served_s: float, after_: int, rest_s: float
) -> None:
    at = NOW + served_s
    world, effects = play(replace(serving(PLAN), crashes=crashes), CRASH, now=at)
    assert (world.crashes, world.score) == (after_, Score(0.0, at))
    if rest_s:
        assert world.server == BackingOff(at + rest_s, Signalled("SIGSEGV"))
    assert bool(of(Spawn, effects)) is not bool(rest_s)
    when = f"next start in {rest_s:.1f} s" if rest_s else "started again at once"
    assert match(Record, message=f"the server was ended by SIGSEGV; {when}") in effects


@pytest.mark.parametrize(
    ("reason", "wanted", "before", "score", "server"),
    [
        (Unresponsive("timed out"), Run(), 0.0, 1.0, BackingOff(NOW, Unresponsive("timed out"))),
        (Unresponsive("timed out"), Run(), 3.0, 4.0, BackingOff(NOW + 2.25, Unresponsive("timed out"))),
        (StartTimeout(120.0, ready=True), Run(), 4.0, 5.0, BackingOff(NOW + 4.5, StartTimeout(120.0, ready=True))),
        (SettingsChanged(), Run(), 3.0, 3.0, Stopped()),
        (Unresponsive("timed out"), Stop(), 3.0, 3.0, Stopped()),
    ],
)
def test_a_server_that_sigkill_does_not_end_counts_whatever_it_did_before(
    reason: StopReason, wanted: Run | Stop, before: float, score: float, server: Child
) -> None:
    plan = replace(PLAN, policy=POLICY)
    killing = Killing(ProcessIdentity(SERVER, 10 * SERVER), NOW, reason)
    world = replace(serving(plan), wanted=wanted, server=killing, score=Score(before, NOW))
    abandoned, effects = enforce_deadlines(world, NOW, 0.5)
    assert (abandoned.score, abandoned.server) == (Score(score, NOW), server)
    if not isinstance(reason, Unresponsive):
        assert replace(abandoned, wedged=()) == gone(world, Role.SERVER, Signalled("SIGKILL"), NOW, 0.5)[0]
    assert Abandon(Role.SERVER, SERVER) in effects


def test_servers_that_all_end_up_stuck_are_started_less_and_less_often() -> None:
    world, now = starting(replace(PLAN, policy=Policy(start_timeout_s=1.0))), NOW
    starts: list[float] = []
    for _ in range(60):
        now = step.deadline(world) or NOW
        world, effects = play(world, DeadlineCame(), now=now)
        for _ in of(Spawn, effects):
            starts.append(now)
            world = after(world, ChildStarted(Role.SERVER, 1000 + len(starts), now), now=now)
    pauses = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert pauses[0] == pytest.approx(6.5) and pauses[-1] > 20.0
