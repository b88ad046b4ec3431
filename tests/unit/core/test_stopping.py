"""A stop: the server leaves, the kernels end in order, then the supervisor does; the second Ctrl-C hurries."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.worlds import (
    DISK,
    ENDER,
    NOTHING,
    NOW,
    PLANNER,
    SAMPLER,
    SERVER,
    SPARE,
    after,
    begun,
    match,
    of,
    plan,
    play,
    serving,
    starting,
    stopping,
    waiting,
    with_spare,
)

from jupyterd.core import journal_kinds, step
from jupyterd.core.child import BackingOff, Killing, Running, Stopped, Stopping
from jupyterd.core.effects import CancelProbes, Probe, Quit, Record, SendSignal, Spawn
from jupyterd.core.events import (
    ChildExited,
    ChildStarted,
    DeadlineCame,
    FrameCame,
    PlanMade,
    Role,
    Signal,
    SignalReceived,
    SpawnFailed,
)
from jupyterd.core.reasons import Exited, ServiceStops
from jupyterd.core.world import World, child_in
from jupyterd.protocol.gpu_frames import Frame
from jupyterd.protocol.policy import Policy

TERM, INT, HUP = map(SignalReceived, (Signal.TERM, Signal.INT, Signal.HUP))
CULLER = 12
POLICY = Policy(stop_timeout_s=10.0, kill_timeout_s=5.0, kernels_grace_s=20.0)
ALONE = plan(replace(POLICY, spare=False), sampler=False)
ENDER_MOST_S = POLICY.kernels_grace_s + 15.0
"""Its grace for the kernels, and time to start and to say what it did."""


def crowded() -> World:
    """A server, a spare, a sampler and a planner that run."""
    world = with_spare(plan(POLICY))
    return after(
        world,
        ChildStarted(Role.SAMPLER_RELAY, SAMPLER, 10 * SAMPLER),
        HUP,
        ChildStarted(Role.PLANNER, PLANNER, 10 * PLANNER),
        now=NOW + 6.0,
    )


def ending() -> World:
    """The server has left, and the ender runs."""
    return after(
        stopping(ALONE),
        ChildExited(Role.SERVER, SERVER, 0, None),
        ChildStarted(Role.ENDER, ENDER, 10 * ENDER),
    )


def test_everybody_is_asked_to_end_and_given_time_of_their_own() -> None:
    now = NOW + 6.0
    world, effects = play(crowded(), TERM, now=now)
    assert [(each.role, each.signal) for each in of(SendSignal, effects)] == [
        (Role.SERVER, "TERM"),
        (Role.SPARE, "TERM"),
        (Role.SAMPLER_RELAY, "TERM"),
        (Role.PLANNER, "TERM"),
        (Role.PLANNER, "KILL"),  # it only reads
    ]
    assert {each.pid for each in of(SendSignal, effects)} == {SERVER, SPARE, SAMPLER, PLANNER}
    patience = {Role.SERVER: 10.0, Role.SPARE: 0.5, Role.SAMPLER_RELAY: 1.0}
    for role, seconds in patience.items():
        child = child_in(world, role)
        assert replace(child, patience=None) == Stopping(child.process, now + seconds, ServiceStops())
    assert world.planner == Killing(world.planner.process, now + 5.0, ServiceStops())
    assert of(Spawn, effects) == [], "kernels end only when no server uses them"
    assert of(CancelProbes, effects) == [CancelProbes()]
    assert world.probes == ()
    assert match(Record, kind=journal_kinds.STOPPING, message="asked to stop by SIGTERM") in effects


def test_who_does_not_listen_is_killed_when_its_time_is_over() -> None:
    world = after(crowded(), TERM, now=NOW + 6.0)
    world, effects = play(world, DeadlineCame(), now=NOW + 7.0)
    assert {(each.role, each.signal) for each in of(SendSignal, effects)} == {
        (Role.SPARE, "KILL"),
        (Role.SAMPLER_RELAY, "KILL"),
    }
    assert of(SendSignal, play(world, DeadlineCame(), now=NOW + 15.99)[1]) == []
    world, effects = play(world, DeadlineCame(), now=NOW + 16.0)
    assert match(SendSignal, role=Role.SERVER, pid=SERVER, signal="KILL") in effects
    assert world.server == Killing(world.server.process, NOW + 21.0, ServiceStops())


def test_kernels_end_once_no_server_uses_them_and_the_ender_has_its_whole_grace() -> None:
    world, effects = play(stopping(ALONE), ChildExited(Role.SERVER, SERVER, 0, None))
    assert of(Spawn, effects) == [Spawn(Role.ENDER, NOTHING)]
    world = after(world, ChildStarted(Role.ENDER, ENDER, 10 * ENDER))
    assert step.deadline(world) == NOW + ENDER_MOST_S
    world, effects = play(world, DeadlineCame(), now=NOW + ENDER_MOST_S - 0.01)
    assert effects == (), "kernels would be left behind"
    world, effects = play(world, DeadlineCame(), now=NOW + ENDER_MOST_S)
    assert of(SendSignal, effects) == [SendSignal(Role.ENDER, ENDER, "KILL")]
    assert of(Quit, effects) == []


def test_the_plan_s_own_ender_is_asked_for_once() -> None:
    theirs = replace(NOTHING, argv=("/bin/end-kernels",))
    made = replace(ALONE, ender=theirs)
    world, effects = play(stopping(made), ChildExited(Role.SERVER, SERVER, 0, None))
    assert of(Spawn, effects) == [Spawn(Role.ENDER, theirs)]
    assert of(Spawn, play(world, DeadlineCame(), TERM, DeadlineCame())[1]) == []
    world = after(world, ChildStarted(Role.ENDER, ENDER, 10 * ENDER))
    assert of(Spawn, play(world, DeadlineCame())[1]) == []
    assert of(Spawn, play(world, ChildExited(Role.ENDER, ENDER, 0, None))[1]) == [], "the kernels have been ended"


@pytest.mark.parametrize(("code", "signal"), [(0, None), (1, None), (None, "SIGKILL")])
def test_the_supervisor_leaves_after_the_ender_whatever_became_of_it(code: int | None, signal: str | None) -> None:
    world, effects = play(ending(), ChildExited(Role.ENDER, ENDER, code, signal))
    assert of(Quit, effects) == [Quit(0)]
    (said,) = of(Record, effects)
    assert said.kind is journal_kinds.STOPPED
    assert said.message
    assert world.quitting
    assert step.deadline(world) is None
    assert play(world, TERM, DeadlineCame()) == (world, ()), "nothing happens after the end"


def test_an_ender_that_cannot_be_started_is_no_reason_to_stay() -> None:
    world = after(stopping(ALONE), ChildExited(Role.SERVER, SERVER, 0, None))
    assert of(Quit, play(world, SpawnFailed(Role.ENDER, "no memory"))[1]) == [Quit(0)]


def test_an_ender_that_even_sigkill_does_not_end_is_left_behind() -> None:
    world = after(ending(), DeadlineCame(), now=NOW + ENDER_MOST_S)
    assert of(Quit, play(world, DeadlineCame(), now=NOW + ENDER_MOST_S + 4.9)[1]) == []
    world, effects = play(world, DeadlineCame(), now=NOW + ENDER_MOST_S + 5.0)
    assert of(Quit, effects) == [Quit(0)]
    assert match(Record, kind=journal_kinds.WEDGED) in effects


def test_it_does_not_leave_before_the_last_child() -> None:
    world = after(crowded(), TERM, now=NOW + 6.0)
    gone = [(Role.SERVER, SERVER), (Role.SPARE, SPARE), (Role.PLANNER, PLANNER)]
    world = after(world, *(ChildExited(role, pid, 0, None) for role, pid in gone), now=NOW + 6.1)
    world = after(world, ChildStarted(Role.ENDER, ENDER, 10 * ENDER), now=NOW + 6.1)
    world, effects = play(world, ChildExited(Role.ENDER, ENDER, 0, None), now=NOW + 6.2)
    assert of(Quit, effects) == [], "the sampler is still there"
    assert of(Quit, play(world, ChildExited(Role.SAMPLER_RELAY, SAMPLER, 0, None), now=NOW + 6.3)[1]) == [Quit(0)]


def test_the_second_interrupt_kills_all_but_the_ender() -> None:
    world = after(crowded(), INT, now=NOW + 6.0)
    world, effects = play(world, INT, now=NOW + 6.1)
    assert [(each.role, each.signal) for each in of(SendSignal, effects)] == [
        (Role.SERVER, "KILL"),
        (Role.SPARE, "KILL"),
        (Role.SAMPLER_RELAY, "KILL"),
    ]
    assert world.server == Killing(world.server.process, NOW + 11.1, ServiceStops(at_once=True))
    assert of(SendSignal, play(world, INT, DeadlineCame(), now=NOW + 6.2)[1]) == [], "once is enough"

    world, effects = play(ending(), INT, INT)
    assert of(SendSignal, effects) == [], "without the ender kernels would be left behind"
    assert isinstance(world.ender, Running)


def test_in_a_hurry_a_child_that_only_now_begins_is_killed_at_once() -> None:
    world = after(begun(plan(POLICY)), INT, INT)
    assert of(SendSignal, play(world, ChildStarted(Role.SAMPLER_RELAY, SAMPLER, 1))[1]) == [
        SendSignal(Role.SAMPLER_RELAY, SAMPLER, "KILL")
    ]


def test_sigterm_again_hurries_nobody() -> None:
    world = stopping(ALONE)
    again, effects = play(world, TERM, HUP, now=NOW + 1.0)
    assert of(SendSignal, effects) == []
    assert again.server == world.server


def test_a_helper_of_the_culling_gets_a_second() -> None:
    made = replace(plan(POLICY, sampler=False), culler=NOTHING)
    world = serving(made)
    child = Running(replace(world.server.process, pid=CULLER), world.server.started_with, world.server.stage)
    world, effects = play(replace(world, culler=child), TERM)
    assert match(SendSignal, role=Role.CULLER, pid=CULLER, signal="TERM") in effects
    assert world.culler.kill_at == NOW + 1.0


@pytest.mark.parametrize("start", [begun, waiting, starting])
def test_nothing_new_is_started_and_nothing_retried_while_it_stops(start) -> None:
    world = after(start(plan(POLICY)), TERM)
    for seconds in (0.0, 3.0, 6.0, 61.0):
        world, effects = play(world, DeadlineCame(), now=NOW + seconds)
        assert {each.role for each in of(Spawn, effects)} <= {Role.ENDER}
        assert of(Probe, effects) == []


def test_what_waits_to_be_started_again_is_forgotten() -> None:
    crashed = after(serving(ALONE), ChildExited(Role.SERVER, SERVER, 1, None))
    crashed = replace(crashed, server=BackingOff(NOW + 30.0, Exited(1)))
    world, effects = play(crashed, TERM)
    assert world.server == Stopped()
    assert match(Spawn, role=Role.ENDER) in effects
    world = after(world, ChildStarted(Role.ENDER, ENDER, 1), ChildExited(Role.ENDER, ENDER, 0, None))
    assert world.quitting


def test_late_answers_of_children_that_are_told_to_end_change_nothing() -> None:
    world = after(crowded(), TERM, now=NOW + 6.0)
    changed = replace(plan(POLICY), server_key="s1", waiting=(DISK,))
    later, effects = play(world, PlanMade(changed), FrameCame(Frame((), "no driver", None)), now=NOW + 6.1)
    assert (later.plan, later.server) == (world.plan, world.server)
    assert of(Spawn, effects) == of(SendSignal, effects) == []
