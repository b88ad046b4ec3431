"""What follows when a child is past its deadline: SIGKILL, and if even that does not end it, life without it.

A rule of reconcile.py, the first one in both lists.
"""

from __future__ import annotations

from dataclasses import replace

from jupyterd.core import child, journal_kinds, reasons
from jupyterd.core.child import Killing, Running, Starting, Stopping, Verifying, Working
from jupyterd.core.effects import CancelProbes, Effect, Record
from jupyterd.core.events import Role
from jupyterd.core.liveness import DUMP_S
from jupyterd.core.reasons import HelperTimeout, StartTimeout
from jupyterd.core.world import Run, Step, Stop, Wedged, World, child_in, plan_of, with_child, with_restart


def enforce_deadlines(world: World, now: float) -> Step:
    """Children past their deadline: SIGKILL, then abandon."""
    effects: list[Effect] = []
    policy = plan_of(world).policy
    for role in Role:
        before = child_in(world, role)
        match before:
            case Stopping(kill_at=kill_at, reason=reason) if now >= kill_at:
                after, more = child.kill(before, role, now, policy, reason)
            case Running(stage=Working(deadline=deadline)) if deadline is not None and now >= deadline:
                after, more = child.kill(before, role, now, policy, HelperTimeout())
            case Running(stage=Starting(deadline=deadline) | Verifying(deadline=deadline)) if now >= deadline:
                after, more = _too_slow(world, before, now)
            case Killing(process=process, abandon_at=abandon_at, reason=reason) if now >= abandon_at:
                after, more = child.abandon(before, role)
                text = f"the {role.value} process {process.pid} does not end even after SIGKILL; going on without it"
                more = (*more, Record(journal_kinds.WEDGED, text, (("JUPYTERD_PID", str(process.pid)),)))
                world = replace(world, wedged=(*world.wedged, Wedged(role, process, now)))
                if role is Role.SERVER and isinstance(world.wanted, Run):
                    world = with_restart(world, reason, now)
                if role is Role.PLANNER:  # it has no answer; another one is due as soon as this one is gone
                    world = replace(world, replan_at=now)
                if role is Role.ENDER and isinstance(world.wanted, Stop):
                    world = replace(world, wanted=replace(world.wanted, kernels_done=True))
            case _:
                continue
        world = with_child(world, role, after)
        effects.extend(more)
    return world, tuple(effects)


def _too_slow(world: World, server: Running, now: float) -> tuple[child.Child, tuple[Effect, ...]]:
    reason = StartTimeout(plan_of(world).policy.start_timeout_s, ready=isinstance(server.stage, Verifying))
    after, more = child.stop(server, Role.SERVER, now + DUMP_S, reason, signal="USR1")
    record = Record(
        journal_kinds.SERVER_EXITED,
        f"the server {reasons.text(reason)}; it is replaced",
        (("JUPYTERD_PID", str(server.process.pid)),),
    )
    return after, (CancelProbes(), *more, record)
