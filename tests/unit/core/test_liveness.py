"""Which silence is a hang: when the server's process is looked at, when it is replaced, and with what words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from support.worlds import LAN, LOCAL, LOCAL6, NOW, PLAN, SERVER, after, bad, good, match, of, play, serving

from jupyterd.core import journal_kinds, report, step
from jupyterd.core.child import Spawning, StartedWith, Stopping
from jupyterd.core.effects import CancelProbes, Effect, InspectProcess, Probe, Record, SendSignal
from jupyterd.core.events import ChildExited, DeadlineCame, Event, ProcessInspected, Role
from jupyterd.core.world import World
from jupyterd.protocol.plan import Target

QUIET = replace(PLAN, policy=replace(PLAN.policy, spare=False))
WATCHED_S = 120.0
MUTE = "the server was replaced because it did not answer on any address (no answer for 11 s)"
STOPPED = "the server was replaced because it was stopped (state T)"

Answers = Callable[[Target, float], float | None]
"""(address, seconds after NOW) -> after how many seconds it answers; None: never."""
Facts = Callable[[float], tuple[str, float, float, float | None]]
"""Seconds after NOW -> (state, processor time had, processor time waited for, when the loop last turned or None)."""


@dataclass
class Story:
    """What happened, in seconds after NOW."""

    replaced: float | None = None
    why: str = ""
    looks: tuple[float, ...] = ()
    world: World | None = None
    effects: tuple[Effect, ...] = ()


def story(answers: Answers, facts: Facts) -> Story:
    """Carry out probes and looks until the server is replaced or two minutes have passed."""
    world, said = serving(QUIET), Story()
    coming: list[tuple[float, Event]] = []
    while True:
        due = step.deadline(world)
        now, event = min(coming, key=lambda each: each[0], default=(float("inf"), DeadlineCame()))
        if due is not None and due < now:
            now, event = due, DeadlineCame()
        else:
            coming.remove((now, event))
        if now > NOW + WATCHED_S:
            return said
        world, effects = play(world, event, now=now)
        for each in effects:
            match each:
                case Probe(target=target, timeout_s=timeout_s):
                    wait = answers(target, now - NOW)
                    late = wait is None or wait >= timeout_s
                    coming.append((now + timeout_s, bad(target)) if late else (now + (wait or 0.0), good(target)))
                case InspectProcess(pid=pid):
                    said.looks += (now - NOW,)
                    coming.append((now, ProcessInspected(pid, *facts(now - NOW))))
                case Record(kind=journal_kinds.SERVER_HUNG, message=message):
                    said.replaced, said.why, said.world, said.effects = now - NOW, message, world, effects
                    return said


def never(target: Target, at: float) -> float | None:  # noqa: ARG001 - one form for all
    return None


def answering(*targets: Target) -> Answers:
    return lambda target, at: 0.0 if target in targets else None  # noqa: ARG005


def facts(
    state: str = "S", ran: float = 0.0, delay: float = 0.0, turned: float | None = None, *, until: float = 1e9
) -> Facts:
    """`ran` and `delay` are shares of each second, `delay` until then; `turned` is seconds after NOW."""
    return lambda at: (state, ran * at, delay * min(at, until), None if turned is None else NOW + min(turned, at))


# The first probe that nobody answers begins at 4, is in doubt at 6 (others are asked, the process is looked at), and
# all have failed at 15, eleven seconds after the first.
@pytest.mark.parametrize(
    ("answers", "facts_of_it", "replaced", "why", "looks"),
    [
        (answering(LOCAL, LOCAL6, LAN), facts(), None, "", ()),
        (answering(LOCAL), facts("T"), None, "", ()),  # nobody doubts a server whose first address answers
        (answering(LOCAL6, LAN), facts(), None, "", (6.0,)),
        (answering(LAN), facts(), None, "", (6.0,)),
        (never, facts(), 15.0, MUTE, (6.0, 15.0)),
        # stopped by a signal: no use in waiting, even while another address may still answer
        (never, facts("T"), 6.0, STOPPED, (6.0,)),
        (answering(LAN), facts("T"), 6.0, STOPPED, (6.0,)),
        (never, facts("t"), 15.0, MUTE, (6.0, 15.0)),  # a debugger's
        # the loop stood still before the silence, in it, or turns on: eleven seconds after it last turned
        (never, facts(turned=3.0), 15.0, MUTE, (6.0, 15.0)),
        (never, facts(turned=4.0), 15.0, MUTE, (6.0, 15.0)),
        (never, facts(turned=5.0), 16.0, MUTE, (6.0, 15.0, 16.0)),
        (never, facts(turned=14.0), 25.0, MUTE, (6.0, 15.0, 25.0)),
        (never, facts(turned=30.0), 41.0, MUTE, (6.0, 15.0, 26.0, 37.0, 41.0)),
        # slow and turning: a minute after it fell silent, and no longer
        (never, facts(turned=1e9), 64.0, MUTE, (6.0, 15.0, 26.0, 37.0, 48.0, 59.0, 64.0)),
        # half of the time without a processor is not yet a starved machine
        (never, facts(delay=0.5), 15.0, MUTE, (6.0, 15.0)),
        (never, facts(delay=0.5, turned=3.0), 15.0, MUTE, (6.0, 15.0)),
        # starved until 40: measured over the time since 31, and again since 43
        (never, facts(delay=0.9, until=40.0), 45.0, MUTE, (6.0, *(float(at) for at in range(15, 46, 2)))),
        # a starved loop that stands still and has had eleven seconds of processor time since 6 is a busy loop
        (never, facts(ran=0.3, delay=0.7, turned=3.0), 43.0, MUTE, (6.0, *(float(at) for at in range(15, 44, 2)))),
        # by 17 it has had eleven
        (never, facts(ran=1.0, delay=0.7, turned=3.0), 17.0, MUTE, (6.0, 15.0, 17.0)),
    ],
)  # fmt: skip
def test_when_silence_is_a_hang(
    answers: Answers, facts_of_it: Facts, replaced: float | None, why: str, looks: tuple[float, ...]
) -> None:
    said = story(answers, facts_of_it)
    assert (said.replaced, said.why) == (replaced, why)
    if replaced is not None or not looks:
        assert said.looks == looks
    else:
        assert said.looks[: len(looks)] == looks


@pytest.mark.parametrize(
    "starved",
    [
        facts(delay=0.51),  # its loop says nothing
        facts(delay=0.9),
        facts(delay=0.9, turned=3.0),  # stands still, and gets no processor to go on
        facts(delay=0.9, turned=1e9),  # turns when it gets one
        facts(ran=0.1, delay=0.9),  # how much it works says nothing where its loop does not
        facts(ran=0.1, delay=0.9, turned=1e9),
    ],
)
def test_a_starved_server_is_given_time_for_as_long_as_it_starves(starved: Facts) -> None:
    said = story(never, starved)
    assert said.replaced is None
    assert said.looks[:4] == (6.0, 15.0, 17.0, 19.0)
    assert len(said.looks) == 54  # each two seconds


def test_a_refused_connection_is_doubt_at_once() -> None:
    world, _ = play(serving(QUIET), DeadlineCame(), now=NOW + 4)
    _, effects = play(world, bad(LOCAL, "connection refused"), now=NOW + 4)
    assert of(InspectProcess, effects) == [InspectProcess(SERVER)]


def test_a_ten_second_request_is_no_hang() -> None:
    def answers(target: Target, at: float) -> float | None:  # noqa: ARG001 - all addresses alike
        return max(0.0, 13.9 - at) if at >= 4.0 else 0.0

    assert story(answers, facts()).replaced is None


def test_each_silence_is_looked_at_afresh() -> None:
    """A first silence of five seconds; in the second, the process is stopped."""

    def answers(target: Target, at: float) -> float | None:  # noqa: ARG001 - all addresses alike
        return max(0.0, 9.0 - at) if at < 12.0 else None

    def facts_of_it(at: float) -> tuple[str, float, float, float | None]:
        return "T" if at > 12.0 else "S", 0.0, 0.0, None

    said = story(answers, facts_of_it)
    assert (said.replaced, said.why) == (15.0, STOPPED)  # its probe of 13 is in doubt at 15
    assert said.looks == (6.0, 15.0)


def test_its_stack_is_written_then_it_is_killed_and_the_next_one_starts_at_once() -> None:
    said = story(never, facts())
    assert said.world is not None
    assert isinstance(said.world.server, Stopping) and said.world.server.kill_at == NOW + 15.5
    assert of(SendSignal, said.effects) == [SendSignal(Role.SERVER, SERVER, "USR1")]
    assert CancelProbes() in said.effects
    fields = (("JUPYTERD_PID", "7"),)
    assert match(Record, kind=journal_kinds.SERVER_HUNG, message=MUTE, fields=fields) in said.effects
    world, effects = play(said.world, DeadlineCame(), now=NOW + 15.5)
    assert of(SendSignal, effects) == [SendSignal(Role.SERVER, SERVER, "KILL")]
    world = after(world, ChildExited(Role.SERVER, SERVER, None, "SIGKILL"), now=NOW + 15.6)
    assert (world.score.value, world.server) == (0.0, Spawning(StartedWith("s0", "l0", PLAN.listen)))
    assert [each.cause for each in report.snapshot(world).recent] == [MUTE.removeprefix("the server ")]


@pytest.mark.parametrize("pid", [SERVER, 99])
def test_a_look_at_somebody_else_changes_nothing(pid: int) -> None:
    stopped = ProcessInspected(pid, "T", 0.0, 0.0, None)
    world, effects = play(serving(QUIET), DeadlineCame(), now=NOW + 4)
    world, effects = play(world, stopped, now=NOW + 6)
    assert (match(Record, kind=journal_kinds.SERVER_HUNG) in effects) is (pid == SERVER)
