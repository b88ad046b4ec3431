"""`step`, the only function that changes a world: it applies an event, reconciles, and reports what is new."""

from __future__ import annotations

from jupyterd.core import health, probes
from jupyterd.core.apply import apply
from jupyterd.core.child import Running, Serving, Stopped, Verifying
from jupyterd.core.child import deadline as child_deadline
from jupyterd.core.effects import Effect
from jupyterd.core.events import Event, Role
from jupyterd.core.liveness import next_inspection_at
from jupyterd.core.reconcile import reconcile
from jupyterd.core.report import needs_time, report
from jupyterd.core.world import Listening, Stop, World, child_in, is_wedged, plan_of

SLACK_S = 5.0
"""How long a deadline may be overdue before WATCHDOG=1 is withheld."""


def start() -> World:
    """The world before the first event, which must be Started."""
    return World()


def step(world: World, event: Event, now: float, jitter: float) -> tuple[World, tuple[Effect, ...]]:
    """(the world after the event, the effects to carry out). `now` is monotonic seconds, `jitter` in [0, 1)."""
    if world.quitting:
        return world, ()
    world, applied = apply(world, event, now, jitter)
    world, reconciled = reconcile(world, now, jitter)
    world, said = report(world, now)
    return world, applied + reconciled + said


def deadline(world: World) -> float | None:
    """The monotonic time at which DeadlineCame is due if no event comes before; None: never."""
    if world.plan is None or world.quitting:
        return None
    times = [child_deadline(child_in(world, role)) for role in Role]
    if not isinstance(world.wanted, Stop):
        times += [world.reload.close_by, world.gpus.log_at]
        if isinstance(world.planner, Stopped) and not is_wedged(world, Role.PLANNER):
            times.append(world.replan_at)
        if isinstance(world.sockets, Listening):
            times.append(world.sockets.retry_at)
        if isinstance(world.server, Running) and isinstance(world.server.stage, Verifying | Serving):
            times.append(probes.deadline(world.probes, plan_of(world).policy))
            times.append(next_inspection_at(world))
    if not isinstance(world.wanted, Stop) or needs_time(world):
        times.append(world.announced.extend_at)
    times.append(health.deadline(world.conditions))
    return min((time for time in times if time is not None), default=None)


def healthy(world: World, now: float) -> bool:
    """Whether no deadline is overdue by more than SLACK_S, which is what WATCHDOG=1 attests."""
    due = deadline(world)
    return due is None or now < due + SLACK_S
