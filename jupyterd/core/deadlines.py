"""Enforces deadlines: a child past its deadline gets SIGKILL; one that even that does not end is abandoned.

The first rule of reconcile.py, whatever is wanted.
"""

from __future__ import annotations

from dataclasses import replace

from jupyterd.core import apply_exit, busy, child, journal_kinds, reasons
from jupyterd.core.busy import DUMP_S
from jupyterd.core.child import Killing, Running, Starting, Stopping, Verifying, Working
from jupyterd.core.effects import CancelProbes, Effect, Record
from jupyterd.core.events import Role
from jupyterd.core.reasons import HelperTimeout, StartTimeout
from jupyterd.core.world import Step, Stop, Wedged, World, child_in, plan_of, with_child


def enforce_deadlines(world: World, now: float, jitter: float) -> Step:
    """Children past their deadline: SIGKILL, then abandon. `jitter` is in [0, 1)."""
    effects: list[Effect] = []
    policy = plan_of(world).policy
    for role in Role:
        before = child_in(world, role)
        match before:
            case Stopping(kill_at=kill_at, reason=reason) if now >= kill_at:
                busy_yet = busy.overdue(before, role, now)
                after, more = busy_yet or child.kill(before, role, now, policy, reason)
            case Running(stage=Working(deadline=deadline)) if deadline is not None and now >= deadline:
                after, more = child.kill(before, role, now, policy, HelperTimeout())
            case Running(stage=Starting(deadline=deadline) | Verifying(deadline=deadline)) if now >= deadline:
                after, more = _too_slow(world, before, now)
            case Killing(abandon_at=abandon_at) if now >= abandon_at:
                world, more = _abandon(world, role, before, now, jitter)
                effects.extend(more)
                continue
            case _:
                continue
        world = with_child(world, role, after)
        effects.extend(more)
    return world, tuple(effects)


def _abandon(world: World, role: Role, before: Killing, now: float, jitter: float) -> Step:
    """The process is wedged. For its role follows what would follow from its end."""
    pid = before.process.pid
    after, effects = child.abandon(before, role)
    text = f"the {role.value} process {pid} does not end even after SIGKILL; going on without it"
    effects = (*effects, Record(journal_kinds.WEDGED, text, (("JUPYTERD_PID", str(pid)),)))
    world = replace(with_child(world, role, after), wedged=(*world.wedged, Wedged(role, before.process, now)))
    if role is Role.SERVER:
        world, more = apply_exit.server_gone(world, before, before.reason, now, jitter, served=False)
        return world, (*effects, *more)
    if role is Role.SAMPLER_RELAY:  # its last figures are no longer true
        world, more = apply_exit.gone(world, role, before.reason, now, jitter)
        return world, (*effects, *more)
    if role is Role.PLANNER:  # it gives no answer; another planner is due as soon as this one is gone
        world = replace(world, replan_at=now)
    if role is Role.ENDER and isinstance(world.wanted, Stop):
        world = replace(world, wanted=replace(world.wanted, kernels_done=True))
    return world, effects


def _too_slow(world: World, server: Running, now: float) -> tuple[child.Child, tuple[Effect, ...]]:
    reason = StartTimeout(plan_of(world).policy.start_timeout_s, ready=isinstance(server.stage, Verifying))
    after, more = child.stop(server, Role.SERVER, now + DUMP_S, reason, signal="USR1")
    record = Record(
        journal_kinds.SERVER_EXITED,
        f"the server {reasons.text(reason)}; it is replaced",
        (("JUPYTERD_PID", str(server.process.pid)),),
    )
    return after, (CancelProbes(), *more, record)
