"""Apply the end of a child: a restart of the server is counted and, after a failed start, delayed."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from jupyterd.core import apply_plan, backoff, gpu_cull_actions, journal_kinds, reasons
from jupyterd.core.backoff import Score
from jupyterd.core.child import BackingOff, Child, Killing, Running, Serving, Spawning, Stopped, Stopping, process
from jupyterd.core.effects import CancelProbes, Effect, EndLeftovers, Record
from jupyterd.core.events import ChildExited, Role
from jupyterd.core.reasons import Exited, ExitReason, ProcessStopped, Signalled, Unresponsive
from jupyterd.core.world import Gpus, Listening, Run, Step, Stop, World, child_in, plan_of, with_restart
from jupyterd.protocol.policy import Policy

AT_ONCE_S = 0.5
HELPER_REST_S = 60.0
"""Delay before a spare that ended by itself is started again: nobody waits for a spare."""
SAMPLER_REST_S = 20.0
"""The same for the sampler relay."""


def child_exited(world: World, event: ChildExited, now: float, jitter: float) -> Step:
    """A process has ended: the one of its role, or one that was abandoned before."""
    running = process(child_in(world, event.role))
    if running is None or running.pid != event.pid:
        left = tuple(each for each in world.wedged if each.process.pid != event.pid)
        return replace(world, wedged=left), ()
    ended = Exited(event.code or 0) if event.signal is None else Signalled(event.signal)
    world, effects = gone(world, event.role, ended, now, jitter)
    return _freed(world, event.role, now), effects


def _freed(world: World, role: Role, now: float) -> World:
    """Try busy addresses again at once: perhaps this process held them."""
    sockets = world.sockets
    if role not in (Role.SERVER, Role.SPARE, Role.RETIRED) or not isinstance(sockets, Listening):
        return world
    busy = any(each.reason == "busy" for each in sockets.failed)
    return replace(world, sockets=replace(sockets, retry_at=now)) if busy else world


def gone(world: World, role: Role, ended: ExitReason, now: float, jitter: float) -> Step:  # noqa: C901, PLR0911 - one for each role
    """The child of this role is no longer there, or could not be started. `jitter` is in [0, 1)."""
    before = child_in(world, role)
    reason = before.reason if isinstance(before, Stopping | Killing) else ended
    policy = plan_of(world).policy
    match role:
        case Role.SERVER:
            world, effects = server_gone(world, before, reason, now, jitter, served=_has_served(before, now, policy))
            ended_process = process(before)
            return world, effects if ended_process is None else (*effects, EndLeftovers(ended_process.pid))
        case Role.PLANNER:
            # Its answer, even that it had none, comes before its end; only a failed spawn has none at all.
            replan_at = now + policy.machine_retry_s if isinstance(before, Spawning) else world.replan_at
            world = replace(world, planner=Stopped(), replan_at=replan_at)
            if not world.reload.reading or isinstance(world.wanted, Stop):
                return world, ()
            return apply_plan.refused(
                world, (f"the settings could not be read: the planner {reasons.text(ended)}",), now
            )
        case Role.RETIRED:
            text = "the retired server has finished and ended"
            if isinstance(before, Stopping | Killing) or ended != Exited(0):
                text = f"the retired server {reasons.text(ended)}"
            told = Record(journal_kinds.SERVER_BUSY, text)
            retired = process(before)
            return replace(world, retired=Stopped()), (told,) if retired is None else (told, EndLeftovers(retired.pid))
        case Role.SPARE:
            rests = reasons.counts_as_failure(reason)
            return replace(world, spare=BackingOff(now + HELPER_REST_S, reason) if rests else Stopped()), ()
        case Role.SAMPLER_RELAY:
            world = gpu_cull_actions.reset(world)
            rest = max(SAMPLER_REST_S, policy.machine_retry_s)
            if not reasons.counts_as_failure(reason):
                return replace(world, sampler_relay=Stopped(), gpus=Gpus()), ()
            kept = replace(world.gpus, frames=(), log_at=None, shown=(), problem=reasons.text(reason))
            return replace(world, sampler_relay=BackingOff(now + rest, reason), gpus=kept), ()
        case Role.CULLER:
            return replace(world, culler=Stopped()), ()
        case Role.ENDER:
            world = replace(world, ender=Stopped())
            if isinstance(world.wanted, Stop):
                world = replace(world, wanted=replace(world.wanted, kernels_done=True))
            return world, ()
        case _:
            assert_never(role)


def _has_served(before: Child, now: float, policy: Policy) -> bool:
    """Whether the server that has ended served for a moment. One that was replaced for silence did."""
    match before:
        case Running(stage=Serving()):
            return _served_s(before, now) >= policy.served_s
        case Stopping(reason=reason) | Killing(reason=reason):
            return isinstance(reason, Unresponsive | ProcessStopped)
        case _:
            return False


def _served_s(before: Child, now: float) -> float:
    """For how long the server that has ended served; 0: not, or it was replaced."""
    match before:
        case Running(stage=Serving(since=since)):
            return now - since
        case _:
            return 0.0


def server_gone(  # noqa: PLR0913 - facts about one end
    world: World, before: Child, reason: ExitReason, now: float, jitter: float, *, served: bool
) -> Step:
    """The server, `before` until now, has ended or was abandoned. A failed start adds to the score and delays the next
    one; a crash of a server that has `served` does neither, until there are very many in a row.
    """
    plan = plan_of(world)
    world = replace(world, probes=(), unsaved=(), down_since=now if world.down_since is None else world.down_since)
    effects: tuple[Effect, ...] = (CancelProbes(),)
    asked = isinstance(before, Stopping | Killing)
    if isinstance(world.wanted, Stop) or not reasons.counts_as_failure(reason):
        if isinstance(world.wanted, Run):
            world = with_restart(world, reason, now)
        return replace(world, server=Stopped()), effects
    if served:
        score, crashes = Score(0.0, now), backoff.after_crash(world.crashes, _served_s(before, now), plan.policy)
        rest = backoff.crash_delay_s(crashes, plan.policy, jitter)
    else:
        score, crashes = backoff.after_failure(world.score, now, plan.policy), world.crashes
        rest = backoff.delay_s(score, plan.policy, jitter)
    world = replace(world, score=score, crashes=crashes, server=BackingOff(now + rest, reason))
    world = with_restart(world, reason, now)
    if asked:  # the record was written when it was replaced
        return world, effects
    running = process(before)
    fields = (("JUPYTERD_PID", str(running.pid) if running else ""), ("JUPYTERD_DELAY_S", f"{rest:.1f}"))
    when = "started again at once" if rest < AT_ONCE_S else f"next start in {rest:.1f} s"
    return world, (*effects, Record(journal_kinds.SERVER_EXITED, f"the server {reasons.text(reason)}; {when}", fields))
