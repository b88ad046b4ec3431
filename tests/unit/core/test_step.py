"""The deadline covers every machine, and the watchdog hears that all is well only while none of them is overdue."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.worlds import (
    LOCAL,
    NOW,
    PLANNER,
    SAMPLER,
    SERVER,
    after,
    bad,
    begun,
    good,
    plan,
    port_taken,
    reloading,
    serving,
    starting,
    stopping,
    verifying,
    waiting,
    with_spare,
)

from jupyterd.core import step
from jupyterd.core.child import BackingOff, Killing, Running, StartedWith, Stopped, Stopping, Working
from jupyterd.core.events import ChildExited, ChildStarted, DeadlineCame, FrameCame, Role, Signal, SignalReceived
from jupyterd.core.health import SERVER_DOWN, ActiveCondition, Condition
from jupyterd.core.reasons import Exited, ServiceStops
from jupyterd.core.world import Stop, Wedged, World, with_child
from jupyterd.protocol.gpu_frames import Frame, Gpu
from jupyterd.protocol.policy import Policy
from jupyterd.protocol.status import ProcessIdentity

PROCESS = ProcessIdentity(50, 500)
AT = NOW + 1.5
"""Before anything that a serving world waits for by itself."""
FRAME = Frame((Gpu(0, "GPU-0", "RTX 4090", 50.0, 90.0, 1, 2, 60, 300.0, None),), None, None)


def quiet() -> World:
    """Serving, with nothing due before NOW + 4."""
    return serving(plan(Policy(spare=False), sampler=False))


def working(at: float) -> Running:
    return Running(PROCESS, StartedWith("x"), Working(at))


@pytest.mark.parametrize(
    ("world", "due"),
    [
        (step.start(), None),
        (begun(), NOW + 20.0),
        (waiting(), NOW + 1.0),
        (port_taken(), NOW + 1.0),
        (starting(), NOW + 20.0),
        (verifying(), NOW + 20.0),
        (quiet(), NOW + 4.0),
        (with_spare(), NOW + 4.0),
        (serving(plan(Policy(probe_every_s=1e3, start_timeout_s=30.0), sampler=False)), NOW + 30.0),
    ],
    ids=[
        "nothing",
        "begun",
        "waiting",
        "port taken",
        "starting",
        "verifying",
        "serving",
        "spare",
        "importing",
    ],
)
def test_the_first_thing_that_a_world_waits_for(world: World, due: float | None) -> None:
    assert step.deadline(world) == due


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize(
    "child",
    [
        BackingOff(AT, Exited(1)),
        working(AT),
        Stopping(PROCESS, AT, ServiceStops()),
        Killing(PROCESS, AT, ServiceStops()),
    ],
    ids=lambda each: type(each).__name__,
)
@pytest.mark.parametrize("wanted", ["run", "stop"])
def test_each_child_s_own_time_counts(role: Role, child, wanted: str) -> None:
    world = with_child(quiet(), role, child)
    if wanted == "stop":
        world = replace(world, wanted=Stop())
    assert step.deadline(world) == AT
    assert step.healthy(world, AT + 4.9)
    assert not step.healthy(world, AT + 5.0)


@pytest.mark.parametrize(
    ("changed", "counts_in_a_stop"),
    [
        (lambda world: replace(world, reload=replace(world.reload, close_by=AT)), False),
        (lambda world: replace(world, gpus=replace(world.gpus, log_at=AT)), False),
        (lambda world: replace(world, announced=replace(world.announced, extend_at=AT)), False),
        (lambda world: replace(world, replan_at=AT), False),
        (lambda world: replace(world, sockets=replace(world.sockets, retry_at=AT)), False),
        (lambda world: replace(world, probes=tuple(replace(each, next_at=AT) for each in world.probes)), False),
        (lambda world: replace(world, conditions=(_condition(AT - SERVER_DOWN.visible_after_s),)), True),
    ],
    ids=["reload", "gpu log", "extend", "re-plan", "sockets", "probes", "health"],
)
def test_each_other_machine_s_time_counts(changed, counts_in_a_stop) -> None:
    world = changed(quiet())
    assert step.deadline(world) == AT
    assert step.healthy(world, AT + 4.9)
    assert not step.healthy(world, AT + 5.0)
    ending = replace(world, wanted=Stop(), server=Stopped(), ender=working(NOW + 30.0))
    assert step.deadline(ending) == (AT if counts_in_a_stop else NOW + 30.0)


def _condition(since: float) -> ActiveCondition:
    return ActiveCondition(Condition(SERVER_DOWN, "", "it is down", ""), since, visible=False, announced=False)


def test_another_plan_is_waited_for_only_where_a_planner_can_be_started() -> None:
    due = replace(quiet(), replan_at=AT)
    assert step.deadline(replace(due, planner=working(NOW + 60.0))) == NOW + 4.0
    assert step.deadline(replace(due, wedged=(Wedged(Role.PLANNER, PROCESS, NOW),))) == NOW + 4.0
    assert step.deadline(replace(due, wedged=(Wedged(Role.SERVER, PROCESS, NOW),))) == AT


def test_probes_are_waited_for_only_beside_a_server_that_has_said_ready() -> None:
    world = replace(starting(), probes=tuple(replace(each, next_at=AT) for each in serving().probes))
    assert step.deadline(world) == NOW + 20.0


def test_a_server_in_doubt_is_looked_at_at_once() -> None:
    world = after(quiet(), DeadlineCame(), now=NOW + 4.0)
    assert step.deadline(world) == NOW + 6.0
    world = after(world, bad(LOCAL), now=NOW + 5.0)
    assert world.server.stage.inspecting, "it is asked now, so nothing is due"
    assert step.deadline(world) == NOW + 6.0
    assert (
        step.deadline(replace(world, server=replace(world.server, stage=replace(world.server.stage, inspecting=False))))
        == NOW + 4.0
    )


def test_nothing_is_waited_for_after_the_end() -> None:
    world = replace(quiet(), quitting=True)
    assert step.deadline(world) is None
    assert step.healthy(world, NOW + 1e9)
    assert step.healthy(step.start(), NOW)


def test_an_event_after_the_end_changes_nothing() -> None:
    world = replace(quiet(), quitting=True)
    assert step.step(world, SignalReceived(Signal.HUP), NOW, 0.0) == (world, ())


def test_whatever_is_due_is_done_when_its_time_comes() -> None:
    """A deadline that an event at that very moment does not move would turn the loop for ever."""
    crashed = after(serving(), ChildExited(Role.SERVER, SERVER, 1, None))
    sampled = after(serving(plan()), ChildStarted(Role.SAMPLER_RELAY, SAMPLER, 1), FrameCame(FRAME))
    hup = SignalReceived(Signal.HUP)
    again = after(waiting(), hup, ChildStarted(Role.PLANNER, PLANNER, 1))
    for first in (
        begun(),
        waiting(),
        port_taken(),
        starting(),
        verifying(),
        serving(),
        with_spare(),
        reloading(),
        stopping(),
        crashed,
        sampled,
        again,
    ):
        world, now = first, NOW + 5.0
        for _ in range(40):
            due = step.deadline(world)
            if due is None:
                break
            now = max(now, due)
            acted = after(world, DeadlineCame(), now=now)
            following = step.deadline(acted)
            assert following is None or following > now, acted
            assert step.healthy(acted, now)
            world = after(acted, *(good(each.target) for each in acted.probes if each.began is not None), now=now)
