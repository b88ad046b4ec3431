"""Apply an event: record its facts in the world. What to do about them is decided in reconcile.py."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from jupyterd.core import apply_exit, apply_plan, busy, gpu_cull_actions, gpu_health, journal_kinds, probes
from jupyterd.core.child import (
    Inspection,
    Running,
    Serving,
    Spawning,
    Standby,
    Starting,
    Stopping,
    Verifying,
    Working,
)
from jupyterd.core.effects import Record
from jupyterd.core.events import (
    BindFailed,
    Bound,
    ChildExited,
    ChildStarted,
    DeadlineCame,
    Event,
    FrameCame,
    PlanMade,
    ProbeEnded,
    ProcessInspected,
    Role,
    ServerSaid,
    Signal,
    SignalReceived,
    SpawnFailed,
    Started,
)
from jupyterd.core.reasons import NotStarted
from jupyterd.core.world import Binding, Gpus, Listening, Run, Step, Stop, World, child_in, plan_of, with_child
from jupyterd.protocol import server_channel
from jupyterd.protocol.plan import Trouble
from jupyterd.protocol.policy import Policy
from jupyterd.protocol.status import ProcessIdentity

RELOAD_SLACK_S = 15.0
_TROUBLE = 3
"""Fields of a Trouble."""


def apply(world: World, event: Event, now: float, jitter: float) -> Step:  # noqa: C901, PLR0911, PLR0912 - one line an event
    """(the world with the facts of `event`, effects that follow from the event itself, mostly journal records)."""
    match event:
        case Started():
            return _started(world, event, now)
        case SignalReceived():
            return _signal(world, event.signal, now)
        case ChildStarted():
            return _child_started(world, event, now)
        case SpawnFailed():
            return apply_exit.gone(world, event.role, NotStarted(event.problem), now, jitter)
        case ChildExited():
            return apply_exit.child_exited(world, event, now, jitter)
        case ProcessInspected():
            return _inspected(world, event, now), ()
        case ServerSaid():
            return _said(world, event, now)
        case PlanMade():
            return apply_plan.plan_made(world, event, now)
        case Bound():
            return _bound(world, event.failed, now)
        case ProbeEnded():
            return _probe_ended(world, event, now)
        case FrameCame():
            return _frame(world, event, now)
        case DeadlineCame():
            return world, ()
        case _:
            assert_never(event)


def _started(world: World, event: Started, now: float) -> Step:
    notes = tuple(Record(journal_kinds.NOTE, note) for note in event.plan.notes)
    replan_at = now + event.plan.policy.machine_retry_s if event.plan.waiting else None
    world = replace(world, plan=event.plan, clock=event.clock, supervisor=event.supervisor, replan_at=replan_at)
    return replace(world, down_since=now, state_since=now), notes


def _signal(world: World, signal: Signal, now: float) -> Step:
    match signal:
        case Signal.HUP:
            if isinstance(world.wanted, Stop):
                return world, ()
            policy = plan_of(world).policy
            close_by = now + policy.planner_timeout_s + policy.start_timeout_s + RELOAD_SLACK_S
            return replace(world, reload=replace(world.reload, asked=True, close_by=close_by)), ()
        case Signal.TERM | Signal.INT:
            if isinstance(world.wanted, Run):
                asked = "SIGTERM" if signal is Signal.TERM else "SIGINT"
                return replace(world, wanted=Stop()), (Record(journal_kinds.STOPPING, f"asked to stop by {asked}"),)
            if signal is Signal.INT:
                return replace(world, wanted=replace(world.wanted, hurry=True)), ()
            return world, ()
        case _:
            assert_never(signal)


def _child_started(world: World, event: ChildStarted, now: float) -> Step:
    before = child_in(world, event.role)
    if not isinstance(before, Spawning):
        return world, ()
    policy = plan_of(world).policy
    running = ProcessIdentity(event.pid, event.started)
    match event.role:
        case Role.SERVER:
            fields = (("JUPYTERD_PID", str(event.pid)),)
            starting = Running(running, before.started_with, Starting(now + policy.start_timeout_s))
            record = Record(journal_kinds.SERVER_STARTED, f"started the Jupyter server (pid {event.pid})", fields)
            return replace(world, server=starting, probes=()), (record,)
        case Role.RETIRED:
            raise AssertionError("nobody starts a retired server")
        case Role.SPARE:
            deadline = now + policy.start_timeout_s
        case Role.PLANNER:
            deadline = now + policy.planner_timeout_s
        case Role.SAMPLER_RELAY:
            deadline = now + policy.gpu_silence_s
        case Role.ENDER | Role.CULLER:
            deadline = now + policy.kernels_grace_s + RELOAD_SLACK_S
        case _:
            assert_never(event.role)
    return with_child(world, event.role, Running(running, before.started_with, Working(deadline))), ()


def _said(world: World, event: ServerSaid, now: float) -> Step:  # noqa: C901, PLR0911 - one for each message
    server, spare = world.server, world.spare
    if (
        isinstance(spare, Running)
        and spare.process.pid == event.pid
        and isinstance(event.message, server_channel.Imported)
    ):
        return replace(world, spare=replace(spare, stage=Standby())), ()
    if not isinstance(server, Running) or server.process.pid != event.pid:
        return world, ()
    match event.message:
        case server_channel.Ready():
            if isinstance(server.stage, Starting):
                opened = world.sockets.open if isinstance(world.sockets, Listening) else ()
                server = replace(server, stage=Verifying(server.stage.deadline))
                world = replace(world, server=server, probes=probes.initial(plan_of(world), opened, now))
            return world, ()
        case server_channel.KernelCounts() as kernels:
            return replace(world, kernels=kernels, kernels_of=event.pid), ()
        case server_channel.Problems() as reported:
            return replace(world, reported=reported), ()
        case server_channel.Failed(problem=problem):
            return replace(world, cannot_start=problem), ()
        case server_channel.Reloaded(live_key=live_key, problem=problem):
            started_with = (
                server.started_with if problem is not None else replace(server.started_with, live_key=live_key)
            )
            return replace(world, server=replace(server, started_with=started_with), live_problem=problem), ()
        case server_channel.LookAgain():
            return replace(world, replan_at=now), ()
        case server_channel.Advised(items=items, unsaved=unsaved):
            found = tuple(Trouble(*map(str, each)) for each in items if len(each) == _TROUBLE)
            return replace(world, advised=found, unsaved=tuple(map(str, unsaved))), ()
        case server_channel.Imported():
            return world, ()
        case _:
            assert_never(event.message)


def _inspected(world: World, event: ProcessInspected, now: float) -> World:
    server, retired = world.server, world.retired
    inspection = Inspection(
        now, event.state, event.ran_s, event.run_delay_s, event.turned, event.worked_s, event.waits, event.on_disk,
        event.request, event.mount,
    )  # fmt: skip
    for role in (Role.SERVER, Role.RETIRED):
        leaving = child_in(world, role)
        if isinstance(leaving, Stopping) and leaving.process.pid == event.pid:
            return with_child(world, role, busy.noted(leaving, inspection))
    if isinstance(retired, Running) and retired.process.pid == event.pid:
        return busy.inspected(world, retired, inspection, now)
    if not isinstance(server, Running) or server.process.pid != event.pid or not isinstance(server.stage, Serving):
        return world
    first, last = server.stage.first_inspection or inspection, server.stage.last_inspection
    if last is not None and last.at - first.at > plan_of(world).policy.hang_after_s:
        first = last  # judge the latest inspections, not those from when the trouble began
    still = server.stage.loop_stood_at
    if still is None or still.turned != inspection.turned:
        still = inspection
    stage = replace(
        server.stage, first_inspection=first, last_inspection=inspection, loop_stood_at=still, inspecting=False
    )
    return replace(world, server=replace(server, stage=stage))


def _bound(world: World, failed: tuple[BindFailed, ...], now: float) -> Step:
    if not isinstance(world.sockets, Binding):
        return world, ()
    retry_at = now + plan_of(world).policy.bind_retry_s if failed else None
    return replace(world, sockets=Listening(world.sockets.asked, failed, retry_at)), ()


def _probe_ended(world: World, event: ProbeEnded, now: float) -> Step:
    plan = plan_of(world)
    world = _noticed(replace(world, clock=event.clock), event.present, now)
    server = world.server
    if not isinstance(server, Running) or not isinstance(server.stage, Verifying | Serving):
        return world, ()
    expected = None if plan.certificate is None else plan.certificate.sha256
    verifying = isinstance(server.stage, Verifying)
    asked = probes.apply_answer(world.probes, event, now, plan.policy, verifying=verifying, expected=expected)
    if isinstance(server.stage, Serving) and asked and asked[0].failing_since is None and asked[0].began is None:
        server = replace(
            server, stage=replace(server.stage, first_inspection=None, last_inspection=None, loop_stood_at=None)
        )
    world = replace(world, probes=asked, server=server)
    if any(each.wrong_certificate for each in asked) and world.replan_at is None:
        world = replace(world, replan_at=now + plan.policy.machine_retry_s)
    return world, ()


def _noticed(world: World, present: tuple[str, ...], now: float) -> World:
    """Ask for another plan when the machine's addresses have changed."""
    before = world.present or plan_of(world).present
    if not present or present == before:
        return world
    settled = now + plan_of(world).policy.network_settle_s
    replan_at = settled if world.replan_at is None else min(world.replan_at, settled)
    return replace(world, present=present, replan_at=replan_at)


def _frame(world: World, event: FrameCame, now: float) -> Step:
    if not isinstance(world.sampler_relay, Running):
        return world, ()
    policy: Policy = plan_of(world).policy
    if event.frame is None:
        return replace(world, gpus=replace(world.gpus, problem="sent something that is not a frame")), ()
    gpus = world.gpus
    log_at = now + policy.gpu_log_every_s if gpus.log_at is None else gpus.log_at
    frames = (*gpus.frames, event.frame) if event.frame.gpus else gpus.frames
    shown = gpus.shown or event.frame.gpus
    sampler = replace(world.sampler_relay, stage=Working(now + policy.gpu_silence_s))
    only_waits = event.frame.pid is None and event.frame.trouble is None  # the relay, until it has a sampler
    last = gpus.last_frame if only_waits and gpus.last_frame is not None else event.frame
    errors = gpu_health.remember(gpus.errors, event.frame, now)
    world = replace(world, sampler_relay=sampler, gpus=Gpus(frames, log_at, shown, last, None, gpus.last_lines, errors))
    return gpu_cull_actions.on_frame(world, event.frame, now)
