"""Rules that bring the actual state towards the wanted one.

1. A rule looks at the world only, never at the event that led there, so no event needs to know what follows from it.
2. Each returns the world unchanged, or the world after one action with that action's effects.
3. They run in the order of _RUN or _STOP, again and again, until none of them acts. An earlier rule wins: deadlines,
   then a replacement for changed settings, then a start, then probes, the spare and the relay.
4. A server starts only when the sockets were asked for, at least one is open and the machine lacks nothing
   (may_start). A spare takes over only if it was started with what the plan has now; any other is stopped. One that
   still imports takes over too: it is nearer to serving than a process that begins.
"""

from __future__ import annotations

from dataclasses import replace

from jupyterd.core import child, journal_kinds, probes, shown
from jupyterd.core.busy import ask_to_end, tell_mounts, watch_leaving, watch_retired
from jupyterd.core.child import (
    BackingOff,
    Killing,
    Running,
    Serving,
    Spawning,
    StartedWith,
    Starting,
    Stopped,
    Stopping,
    Verifying,
)
from jupyterd.core.deadlines import enforce_deadlines
from jupyterd.core.effects import Bind, CancelProbes, Effect, Promote, Record, SendToServer
from jupyterd.core.events import Role
from jupyterd.core.gpu_cull_actions import start_next_cull
from jupyterd.core.liveness import replace_hung
from jupyterd.core.reasons import AddressesChanged, SettingsChanged, SpareMisfit, StopReason
from jupyterd.core.stopping import quit_when_done, start_ender, stop_children
from jupyterd.core.world import (
    Binding,
    Listening,
    Step,
    Stop,
    Unbound,
    World,
    child_in,
    is_wedged,
    plan_of,
    serves,
    with_child,
)
from jupyterd.protocol.plan import Plan
from jupyterd.protocol.server_channel import Go
from jupyterd.protocol.server_channel import Reload as ReloadLine

TURNS_MAX = 64


def reconcile(world: World, now: float, jitter: float) -> Step:
    """Apply the rules until the world rests, deadlines first. `jitter` is in [0, 1)."""
    effects: list[Effect] = []
    for _ in range(TURNS_MAX):
        before = world
        world, more = enforce_deadlines(world, now, jitter)
        effects.extend(more)
        for rule in _STOP if isinstance(world.wanted, Stop) else _RUN:
            world, more = rule(world, now)
            effects.extend(more)
        if world == before:
            return world, tuple(effects)
    raise AssertionError("the rules do not come to rest")  # the world is in the event log, without secrets


# --- wanted: run ----------------------------------------------------------------------------------------------


def _bind(world: World, now: float) -> Step:
    """Listen on the plan's addresses; retry those that could not be opened."""
    listen = plan_of(world).listen
    match world.sockets:
        case Unbound():
            due, failed = True, ()
        case Listening(asked=asked, retry_at=retry_at, failed=failed):
            due = asked != listen or (retry_at is not None and now >= retry_at)
        case Binding():
            due, failed = False, ()
    return (replace(world, sockets=Binding(listen, failed)), (Bind(listen),)) if due else (world, ())


def _start_planner(world: World, now: float) -> Step:
    """Start the planner, to read the settings for a reload or because the machine was not ready."""
    due = world.replan_at is not None and now >= world.replan_at
    if world.reload.asked and is_wedged(world, Role.PLANNER):
        problem = "an earlier planner is stuck in the kernel (jupyterd status names it)"
        record = Record(journal_kinds.RELOAD_REFUSED, f"reload refused: {problem}")
        return replace(world, refused=(problem,), reload=replace(world.reload, asked=False)), (record,)
    if not isinstance(world.planner, Stopped) or not (due or world.reload.asked) or is_wedged(world, Role.PLANNER):
        return world, ()
    planner, effects = child.spawn(Role.PLANNER, plan_of(world).planner, StartedWith("planner"))
    reload = replace(world.reload, asked=False, reading=world.reload.asked)
    return replace(world, planner=planner, replan_at=None, reload=reload), effects


def _end_backoff(world: World, now: float) -> Step:
    for role in (Role.SERVER, Role.SPARE, Role.SAMPLER_RELAY):
        before = child_in(world, role)
        if isinstance(before, BackingOff) and now >= before.until:
            world = with_child(world, role, Stopped())
    return world, ()


def may_start(world: World) -> bool:
    """Whether the machine is ready for a server: nothing to wait for, and at least one socket open."""
    return not plan_of(world).waiting and isinstance(world.sockets, Listening) and bool(world.sockets.open)


def _start(world: World, now: float) -> Step:
    """Start a server: promote the spare if there is one that fits, otherwise spawn a process."""
    if not isinstance(world.server, Stopped) or not may_start(world) or not isinstance(world.sockets, Listening):
        return world, ()
    plan, spare = plan_of(world), world.spare
    started_with = StartedWith(plan.server_key, plan.live_key, world.sockets.open)
    if isinstance(spare, Running) and spare.started_with == _spare_started_with(world):
        promoted = Running(spare.process, started_with, Starting(now + plan.policy.start_timeout_s))
        fields = (("JUPYTERD_PID", str(spare.process.pid)),)
        record = Record(journal_kinds.SERVER_STARTED, f"the spare takes over (pid {spare.process.pid})", fields)
        world = replace(world, server=promoted, spare=Stopped(), live_problem=None)
        return world, (Promote(spare.process.pid), SendToServer(Go()), record)
    server, effects = child.spawn(Role.SERVER, plan.server, started_with)
    return replace(world, server=server, live_problem=None), effects


def _spare_started_with(world: World) -> StartedWith:
    """What a spare inherits before it reads the settings: its program, environment and sockets."""
    opened = world.sockets.open if isinstance(world.sockets, Listening) else ()
    return StartedWith("spare", listen=opened, command=plan_of(world).server)


def _spare_is_due(world: World) -> bool:
    """Whether a spare is missing beside the server. Only the first server of all has the processor to itself until it
    serves: a later one that ends before it serves is followed by a spare that has already begun.
    """
    if not plan_of(world).policy.spare or not isinstance(world.spare, Stopped) or is_wedged(world, Role.SPARE):
        return False
    # Without sockets it would not fit a moment later.
    begun = serves(world) or (isinstance(world.server, Running) and world.announced.ready)
    return begun and isinstance(world.sockets, Listening) and bool(world.sockets.open)


def _keep_spare(world: World, now: float) -> Step:
    """Keep one spare beside a server that serves, as the plan says; end one that no longer fits."""
    spare = world.spare
    if _spare_is_due(world):
        spare, effects = child.spawn(Role.SPARE, plan_of(world).server, _spare_started_with(world))
        return replace(world, spare=spare), effects
    if isinstance(spare, Running) and (
        not plan_of(world).policy.spare or spare.started_with != _spare_started_with(world)
    ):
        if isinstance(world.sockets, Binding):
            return world, ()
        ending, effects = child.stop(spare, Role.SPARE, now + 1.0, SpareMisfit())
        return replace(world, spare=ending), effects
    return world, ()


def outdated(world: World) -> StopReason | None:
    """Why a running server cannot apply the plan without a restart; None if it can, or if it is not the time."""
    server = world.server
    if not isinstance(server, Running) or not isinstance(world.sockets, Listening):
        return None
    if not may_start(world) and not _is_in_the_way(server, world.sockets, plan_of(world)):
        return None
    if server.started_with.key != plan_of(world).server_key:
        return SettingsChanged()
    return AddressesChanged() if server.started_with.listen != world.sockets.open else None


def _restart(world: World, now: float) -> Step:
    """Replace a running server that cannot apply the plan without a restart; its kernels keep running. Not while it
    holds documents that are not on disk: nobody has asked for their loss.
    """
    server, plan, reason = world.server, plan_of(world), outdated(world)
    if reason is None or world.unsaved or not isinstance(server, Running):
        return world, ()
    ending, effects = ask_to_end(server, Role.SERVER, now, plan.policy, reason)
    down_since = now if world.down_since is None else world.down_since
    return replace(world, server=ending, probes=(), down_since=down_since), (CancelProbes(), *effects)


def _is_in_the_way(server: Running, sockets: Listening, plan: Plan) -> bool:
    """Whether an address cannot be opened because the server still has one that is no longer wanted on its port: a
    socket for every address keeps one for a single address from being opened, and the reverse.
    """
    ports = {each.port for each in server.started_with.listen if each not in plan.listen}
    return not plan.waiting and any(each.reason == "busy" and each.listen.port in ports for each in sockets.failed)


def _send_live_key(world: World, now: float) -> Step:  # noqa: ARG001 - every rule has the same form
    server, live = world.server, plan_of(world).live_key
    if not isinstance(server, Running) or not isinstance(server.stage, Serving):
        return world, ()
    if live in (server.started_with.live_key, server.stage.live_key_sent):
        return world, ()
    told = replace(server, stage=replace(server.stage, live_key_sent=live))
    return replace(world, server=told), (SendToServer(ReloadLine(live)),)


def _finish_verifying(world: World, now: float) -> Step:
    """Make it a serving server once it said Ready and every listening socket has answered."""
    server = world.server
    if (
        not isinstance(server, Running)
        or not isinstance(server.stage, Verifying)
        or not probes.all_answered(world.probes)
    ):
        return world, ()
    away = 0.0 if world.down_since is None else now - world.down_since
    serving = replace(server, stage=Serving(now, server.started_with.live_key))
    fields = (("JUPYTERD_PID", str(server.process.pid)), ("JUPYTERD_AWAY_S", f"{away:.3f}"))
    where = next(iter(shown.urls(world)), "")
    text = f"serving {where}".rstrip() + (f" again after {away:.2f} s" if world.restarts else "")
    world = replace(world, server=serving, down_since=None, cannot_start=None)
    return world, (Record(journal_kinds.SERVING, text, fields),)


def _probe(world: World, now: float) -> Step:
    server = world.server
    if not isinstance(server, Running) or not isinstance(server.stage, Verifying | Serving):
        return world, ()
    asked, effects = probes.begin_due(world.probes, plan_of(world), now)
    return replace(world, probes=asked), effects


def _keep_sampler_relay(world: World, now: float) -> Step:
    """Keep a sampler relay if the plan has one; never a second one beside a wedged one."""
    command = plan_of(world).sampler
    match world.sampler_relay:
        case Stopped() if command is not None and not is_wedged(world, Role.SAMPLER_RELAY):
            sampler, effects = child.spawn(Role.SAMPLER_RELAY, command, StartedWith("\0".join(command.argv)))
        case BackingOff() if command is None:
            sampler, effects = Stopped(), ()
        case Running(started_with=started_with) if command is None or started_with.key != "\0".join(command.argv):
            sampler, effects = child.stop(world.sampler_relay, Role.SAMPLER_RELAY, now + 1.0, SettingsChanged())
        case _:
            return world, ()
    return replace(world, sampler_relay=sampler), effects


def _close_reload(world: World, now: float) -> Step:
    """End a reload when it was refused or all its changes are in force; report.py then sends READY=1."""
    reload = world.reload
    if reload.close_by is None or ((reload.asked or reload.reading) and now < reload.close_by):
        return world, ()
    server, plan = world.server, plan_of(world)
    in_force = isinstance(world.sockets, Listening) and not (
        isinstance(world.spare, Stopping | Killing) and any(each.reason == "busy" for each in world.sockets.failed)
    )
    if isinstance(server, Running | Stopping | Killing | Spawning):
        in_force = in_force and isinstance(server, Running) and isinstance(server.stage, Serving)
        if in_force and isinstance(server, Running) and world.live_problem is None:
            in_force = server.started_with.live_key == plan.live_key
    if not in_force and now < reload.close_by:
        return world, ()
    return replace(world, reload=replace(reload, close_by=None), reloads=world.reloads + 1), ()


_RUN = (
    _end_backoff,
    _bind,
    _start_planner,
    _restart,
    _start,
    _finish_verifying,
    replace_hung,
    watch_retired,
    watch_leaving,
    tell_mounts,
    _send_live_key,
    _probe,
    _keep_spare,
    _keep_sampler_relay,
    start_next_cull,
    _close_reload,
)
_STOP = (stop_children, watch_leaving, start_ender, quit_when_done)
