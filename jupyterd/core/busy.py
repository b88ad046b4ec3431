"""A busy server is not a hung one: it is retired, so that it can finish what it does while another one serves.

liveness.py asks `judge` before it ends a server whose event loop stands still:

1. It *works* when its threads, together, have used WORKING_SHARE of the time since its loop stood still (a large save,
   a computation), or when its main thread waits for a time, another program or the network (a synchronous request). It
   *waits for a disk* when one of its threads is in a file system call or in state D. linux/waits.py tells these apart.
   One that does none of that hangs (a dead lock, for example), and is ended as before.
2. Retired: the supervisor gives the process the role RETIRED and wakes a thread in it, so that it lets go of everything
   that the next server needs, although its event loop stands still. The listening sockets stay open all the time: the
   next server (the spare) accepts at once what waits there.
3. What the old server does, in this order (server/retirement.py). At once, by that thread: it stops restarting kernels,
   and hangs up every connection that is idle and every websocket, so that browsers connect again and reach the next
   server. As soon as its loop turns: it stops accepting, closes its connections to kernels, recorder and terminals
   (which all go on), answers the requests that it had begun, and ends. While native code holds the interpreter's lock
   the thread cannot run; what is idle is then hung up when that is over.
4. What both may touch at once: kernels (each server has its own connections to their sockets, and only the new one
   restarts them), the registry's lock (servers share it), marks (each is written by the server that has the tab's
   websocket, and the old one has none), sessions.db (each statement is its own transaction), and the user's files,
   which the old one writes as it would have done alone.
5. There is one retired server at most. While there is one, a second busy server is ended like one that hangs. So that
   the second one does not wait for the disk for which the first one waits, it is told the mount, and refuses what lies
   below it (server/silent_mounts.py).
6. A retired server is inspected every LOOK_S. While it waits for a disk it is left alone, named in STATUS; while it
   works, or its loop turns, it has `busy_most_s` in all; when it does neither, it hangs: its stack is written, and it
   is killed.
7. A server that is asked to end (a stop, a restart, other settings) is inspected at once, and again when
   `stop_timeout_s` is over. If it then works or waits, or its loop turns and a request is under way (leave.py finishes
   those that change something), it is not killed. For other settings it is retired, and another one serves. When the
   service stops, nobody could serve in its place, so it has `finish_most_s`: systemd is asked for more time, STATUS
   names the request, and so does the record when it has to be cut.
"""

from __future__ import annotations

from dataclasses import replace

from jupyterd.core import child, journal_kinds, reasons
from jupyterd.core.child import (
    Finishing,
    Inspection,
    Patience,
    Running,
    Serving,
    Stopped,
    Stopping,
    WaitsForDisk,
    Works,
)
from jupyterd.core.effects import CancelProbes, Effect, InspectProcess, Record, Retire, SendSignal, SendToServer
from jupyterd.core.events import Role
from jupyterd.core.reasons import Retired, StopReason, Unfinished, Unresponsive
from jupyterd.core.world import Run, Step, Stop, World, child_in, is_wedged, plan_of, with_child, with_restart
from jupyterd.protocol.policy import Policy
from jupyterd.protocol.server_channel import SilentMounts

WORKING_SHARE = 0.1
"""Of the time: a save on a machine that is loaded gets no more. A thread that looks after something uses far less."""
AT_REST_S = 0.05
"""Of processor time, for other threads: one that writes to a slow disk uses more, and goes from call to call."""
SILENT_S = 0.5
"""A file system does not answer if nothing has moved between two inspections that are this far apart at least. They are
9 s apart by default: the first one is made when a server is in doubt, the second one when it counts as hung.
"""
HURRY = "systemctl kill --kill-whom=main --signal=INT jupyterd"
LOOK_S = 10.0
DUMP_S = 0.5
"""Time for faulthandler to write the stack of a hung server to the journal before SIGKILL."""
Doing = Works | WaitsForDisk
Effects = tuple[Effect, ...]


def judge(before: Inspection, last: Inspection) -> Doing | None:
    """What the process does, by two inspections; None: nothing."""
    if last.at > before.at and last.worked_s - before.worked_s >= WORKING_SHARE * (last.at - before.at):
        return Works()
    if last.waits is None:
        return None
    if not last.on_disk:
        return Works(last.waits)
    same = last.waits == before.waits and last.worked_s - before.worked_s <= AT_REST_S
    return WaitsForDisk(last.waits, last.mount if same and last.at - before.at >= SILENT_S else "")


def phrase(doing: Doing) -> str:
    """For the journal: "it works", or the wait."""
    return f"it waits: {doing.what}" if doing.what else "it works"


def ask_to_end(server: Running, role: Role, now: float, policy: Policy, reason: StopReason) -> tuple[Stopping, Effects]:
    """(the server while it ends, the signal and the first inspection): one that is busy then gets time to finish."""
    kill_at, pid = now + policy.stop_timeout_s, server.process.pid
    if not isinstance(server.stage, Serving | Finishing):
        return Stopping(server.process, kill_at, reason), (SendSignal(role, pid, "TERM"),)
    patience = Patience(server, max(kill_at, now + policy.finish_most_s))
    return Stopping(server.process, kill_at, reason, patience), (SendSignal(role, pid, "TERM"), InspectProcess(pid))


def overdue(ending: Stopping, role: Role, now: float) -> tuple[Stopping, Effects] | None:
    """(the same server, what to do) when a server that may be busy should have ended by now; None: kill it."""
    patience, pid = ending.patience, ending.process.pid
    if patience is None or patience.seen is None or patience.looking:
        return None
    if now < patience.until:
        return replace(ending, kill_at=now + DUMP_S, patience=replace(patience, looking=True)), (InspectProcess(pid),)
    if patience.doing is None:
        return None
    request = patience.seen.request or "its request"
    text = f"the {role.value} (pid {pid}) has not finished {request} in time ({phrase(patience.doing)}); it is ended"
    record = Record(journal_kinds.SERVER_CUT, text, (("JUPYTERD_PID", str(pid)),))
    return replace(ending, kill_at=now + DUMP_S, patience=None), (record, SendSignal(role, pid, "USR1"))


def noted(ending: Stopping, last: Inspection) -> Stopping:
    """The same server after an inspection."""
    patience = ending.patience
    if patience is None or not (patience.looking or patience.seen is None):
        return ending
    after = replace(patience, last=last) if patience.looking else replace(patience, seen=last)
    return replace(ending, patience=after)


def watch_leaving(world: World, now: float) -> Step:
    """Judge a server that has not ended in time: one that is busy goes on, retired if another one can take over."""
    for role in (Role.SERVER, Role.RETIRED):
        ending = child_in(world, role)
        if not isinstance(ending, Stopping) or ending.patience is None:
            continue
        patience, last = ending.patience, ending.patience.last
        if patience.seen is None or last is None:
            continue
        doing = judge(patience.seen, last)
        if doing is None and last.request and last.turned is not None and last.turned > patience.seen.at:
            doing = Works()
        if doing is None:
            return with_child(world, role, replace(ending, kill_at=now, patience=None)), ()
        if role is Role.SERVER and isinstance(world.wanted, Run) and may_retire(world):
            return retire(world, patience.server, doing, last, now)
        after = replace(patience, seen=last, last=None, looking=False, doing=doing)
        text = f"the {role.value} is busy with {last.request or 'a request'} ({phrase(doing)}); it has "
        text += f"{patience.until - now:.0f} s to finish that"
        if isinstance(world.wanted, Stop):
            text += f" (to end it now: {HURRY if plan_of(world).mode != 'foreground' else 'Ctrl-C'})"
        fields = (("JUPYTERD_PID", str(ending.process.pid)),)
        told = () if patience.doing is not None else (Record(journal_kinds.SERVER_BUSY, text, fields),)
        kill_at = min(now + LOOK_S, max(now, patience.until))
        return with_child(world, role, replace(ending, kill_at=kill_at, patience=after)), told
    return world, ()


def may_retire(world: World) -> bool:
    """Whether the place of the retired server is free."""
    return isinstance(world.retired, Stopped) and not is_wedged(world, Role.RETIRED)


def retire(world: World, server: Running, doing: Doing, last: Inspection, now: float) -> Step:
    """Make the server the retired one. Its stack goes to the journal: it says at what it works."""
    pid = server.process.pid
    stage = Finishing(now, doing, last, now + LOOK_S)
    reason = Retired(phrase(doing), last.request)
    text = f"the server {reasons.text(reason)}; it may finish that while another one serves"
    world = replace(world, server=Stopped(), retired=replace(server, stage=stage), probes=(), down_since=now)
    record = Record(journal_kinds.SERVER_BUSY, text, (("JUPYTERD_PID", str(pid)),))
    return with_restart(world, reason, now), (
        CancelProbes(),
        record,
        Retire(pid),
        SendSignal(Role.RETIRED, pid, "USR1"),
    )


def inspected(world: World, retired: Running, last: Inspection, now: float) -> World:
    """The world after an inspection of the retired server."""
    stage, policy = retired.stage, plan_of(world).policy
    if not isinstance(stage, Finishing):
        return world
    doing = judge(stage.seen, last)
    turns = last.turned is not None and last.turned > stage.seen.at
    verdict: StopReason | None = None
    if doing is None and not turns:
        verdict = Unresponsive("it neither works nor waits for a disk")
    elif not isinstance(doing, WaitsForDisk) and now - stage.since >= policy.busy_most_s:
        verdict = Unfinished(policy.busy_most_s)
    after = replace(stage, doing=doing or Works(), seen=last, look_at=now + LOOK_S, verdict=verdict)
    return replace(world, retired=replace(retired, stage=after))


def tell_mounts(world: World, now: float) -> Step:  # noqa: ARG001 - every rule has the same form
    """Tell the server below which mounts it must look at nothing, because the retired one hangs there: it would hang as
    well. In the same step in which it takes over, so before its first request.
    """
    server, retired = world.server, world.retired
    if not isinstance(server, Running):
        return world, ()
    doing = retired.stage.doing if isinstance(retired, Running) and isinstance(retired.stage, Finishing) else None
    dead = doing.mount if isinstance(doing, WaitsForDisk) else ""
    silent = (dead,) if dead not in ("", "/") else ()
    pid, told = world.told_silent
    if silent == (told if pid == server.process.pid else ()):
        return world, ()
    return replace(world, told_silent=(server.process.pid, silent)), (SendToServer(SilentMounts(silent)),)


def watch_retired(world: World, now: float) -> Step:
    """Inspect the retired server when that is due, and end it when it hangs or has had its time."""
    retired = world.retired
    if not isinstance(retired, Running) or not isinstance(retired.stage, Finishing):
        return world, ()
    stage, pid = retired.stage, retired.process.pid
    if stage.verdict is not None:
        ending, effects = child.stop(retired, Role.RETIRED, now + DUMP_S, stage.verdict, signal="USR1")
        text = f"the retired server (pid {pid}) {reasons.text(stage.verdict)}; it is ended"
        record = Record(journal_kinds.SERVER_HUNG, text, (("JUPYTERD_PID", str(pid)),))
        return replace(world, retired=ending), (record, *effects)
    if stage.look_at is not None and now >= stage.look_at:
        looking = replace(retired, stage=replace(stage, look_at=None))
        return replace(world, retired=looking), (InspectProcess(pid),)
    return world, ()
