"""Liveness: whether a server that does not answer hangs, or is only slow. A rule of reconcile.py.

1. Silence on one address is no reason for anything but a health item; on all of them (probes.hung_at) it is doubt.
2. In doubt the process is inspected: at once, when it counts as hung, and then every suspect_after_s.
3. A stopped process (state T) is replaced at once.
4. Starved: it waited for a processor for more than STARVED_SHARE of the time since it fell silent. The machine is slow,
   and it gets more time, unless it has used hang_after_s of processor time while its event loop stood still.
5. Its event loop turned within hang_after_s: it is slow. It gets mute_after_s from the first question on.
6. Its event loop stood still, and it works or waits for a disk: it is retired (busy.py), and another one serves.
7. Everything else hangs: SIGUSR1 writes its stack to the journal, DUMP_S later SIGKILL.
"""

from __future__ import annotations

from dataclasses import replace

from jupyterd.core import busy, child, journal_kinds, probes, reasons
from jupyterd.core.busy import DUMP_S
from jupyterd.core.child import Inspection, Running, Serving
from jupyterd.core.effects import CancelProbes, InspectProcess, Record
from jupyterd.core.events import Role
from jupyterd.core.reasons import ProcessStopped, StopReason, Unresponsive
from jupyterd.core.world import Step, World, plan_of
from jupyterd.protocol.policy import Policy

STOPPED = "T"
"""The process state after a stop signal (proc_pid_stat(5)); under a debugger it would be "t"."""
STARVED_SHARE = 0.5


def replace_hung(world: World, now: float) -> Step:
    """Inspect a silent server when that is due, and replace it when it hangs."""
    server, plan = world.server, plan_of(world)
    if not isinstance(server, Running) or not isinstance(server.stage, Serving):
        return world, ()
    look_at = next_inspection_at(world)
    if look_at is not None and now >= look_at:
        looking = replace(server, stage=replace(server.stage, inspecting=True))
        return replace(world, server=looking), (InspectProcess(server.process.pid),)
    last = server.stage.last_inspection
    at = probes.hung_at(world.probes, plan.policy)
    if last is not None and last.state == STOPPED:
        reason: StopReason = ProcessStopped()
    elif last is not None and _hangs(server.stage, at, plan.policy):
        doing = busy.judge(server.stage.loop_stood_at or last, last)
        stands = last.turned is None or now - last.turned >= plan.policy.hang_after_s
        if doing is not None and stands and busy.may_retire(world):
            return busy.retire(world, server, doing, last, now)
        reason = Unresponsive(world.probes[0].problem)
    else:
        return world, ()
    ending, effects = child.stop(server, Role.SERVER, now + DUMP_S, reason, signal="USR1")
    fields = (("JUPYTERD_PID", str(server.process.pid)),)
    record = Record(journal_kinds.SERVER_HUNG, f"the server {reasons.text(reason)}", fields)
    return replace(world, server=ending, probes=(), down_since=now), (CancelProbes(), record, *effects)


def next_inspection_at(world: World) -> float | None:
    """When to inspect the server's process (monotonic): once it is in doubt, when it counts as hung, and from time to
    time while it is given more time; None: no inspection is due.
    """
    server, policy = world.server, plan_of(world).policy
    if not isinstance(server, Running) or not isinstance(server.stage, Serving):
        return None
    if server.stage.inspecting:
        return None
    alarm = probes.alarm_at(world.probes, policy)
    last = server.stage.last_inspection
    if alarm is None or last is None:
        return alarm
    hung = probes.hung_at(world.probes, policy)
    if hung is None:
        return None
    return hung if last.at < hung else _patient_until(server.stage, last, hung, policy)


def _hangs(stage: Serving, hung_at: float | None, policy: Policy) -> bool:
    last = stage.last_inspection
    if hung_at is None or last is None or last.at < hung_at:
        return False
    return _patient_until(stage, last, hung_at, policy) is None


def _patient_until(stage: Serving, last: Inspection, hung_at: float, policy: Policy) -> float | None:
    """When to inspect a server again that does not answer and yet is not hung, because the machine is slow or because
    its event loop turns (which is enough for a while); None: it is hung.
    """
    if _starved(stage) and not _works_on(stage, last, policy):
        return last.at + policy.suspect_after_s
    if last.turned is None:
        return None
    until = min(last.turned + policy.hang_after_s, hung_at + policy.mute_after_s - policy.hang_after_s)
    return until if last.at < until else None


def _works_on(stage: Serving, last: Inspection, policy: Policy) -> bool:
    """Whether its event loop stands still although it had enough processor time: then the machine is not to blame."""
    still = stage.loop_stood_at
    return last.turned is not None and still is not None and last.ran_s - still.ran_s >= policy.hang_after_s


def _starved(stage: Serving) -> bool:
    """Whether it has mostly waited for a processor since it stopped answering: then the machine is slow, not it."""
    first, last = stage.first_inspection, stage.last_inspection
    if first is None or last is None or last.at <= first.at:
        return False
    return (last.run_delay_s - first.run_delay_s) / (last.at - first.at) > STARVED_SHARE
