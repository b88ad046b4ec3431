"""The rules for a stop: the server ends first, then the ender shuts down the kernels, then the supervisor exits.

Rules of reconcile.py.
"""

from __future__ import annotations

from dataclasses import replace

from jupyterd.core import child, journal_kinds
from jupyterd.core.busy import ask_to_end
from jupyterd.core.child import BackingOff, Running, StartedWith, Stopped, Stopping
from jupyterd.core.effects import CancelProbes, Effect, Quit, Record
from jupyterd.core.events import Role
from jupyterd.core.reasons import ServiceStops
from jupyterd.core.world import Step, Stop, World, child_in, plan_of, with_child


def stop_children(world: World, now: float) -> Step:
    """Ask all children but the ender to end; send SIGKILL at once if the stop is hurried."""
    effects: list[Effect] = []
    policy = plan_of(world).policy
    hurry = isinstance(world.wanted, Stop) and world.wanted.hurry
    if world.probes:
        world = replace(world, probes=())
        effects.append(CancelProbes())
    # The ender is never hurried: it has its own deadline, and without it kernels would be left behind.
    patience = {
        Role.SERVER: policy.stop_timeout_s,
        Role.RETIRED: policy.stop_timeout_s,
        Role.SPARE: 0.5,
        Role.SAMPLER_RELAY: 1.0,
        Role.PLANNER: 0.0,
        Role.ENDER: None,
        Role.CULLER: 1.0,
    }
    for role, seconds in patience.items():
        before = child_in(world, role)
        match before:
            case BackingOff():
                after: child.Child = Stopped()
                more: tuple[Effect, ...] = ()
            case Running() if role in (Role.SERVER, Role.RETIRED) and not hurry:  # it may be busy with a request
                after, more = ask_to_end(before, role, now, policy, ServiceStops())
            case Running() if seconds is not None and not hurry:
                after, more = child.stop(before, role, now + seconds, ServiceStops())
            case Running() | Stopping() if hurry and seconds is not None:
                after, more = child.kill(before, role, now, policy, ServiceStops(at_once=True))
            case _:
                continue
        world = with_child(world, role, after)
        effects.extend(more)
    return world, tuple(effects)


def start_ender(world: World, now: float) -> Step:  # noqa: ARG001 - every rule has the same form
    """Start the ender, which shuts down the kernels, once no server uses them."""
    stop = world.wanted
    if not isinstance(stop, Stop) or stop.kernels_done or not isinstance(world.server, Stopped):
        return world, ()
    if not isinstance(world.ender, Stopped):
        return world, ()
    ender, effects = child.spawn(Role.ENDER, plan_of(world).ender, StartedWith("ender"))
    return replace(world, ender=ender), effects


def quit_when_done(world: World, now: float) -> Step:  # noqa: ARG001 - every rule has the same form
    """Quit once no child runs any more."""
    stop = world.wanted
    if world.quitting or not isinstance(stop, Stop) or not stop.kernels_done:
        return world, ()
    if any(not isinstance(child_in(world, role), Stopped) for role in Role):
        return world, ()
    return replace(world, quitting=True), (Record(journal_kinds.STOPPED, "stopped cleanly"), Quit(0))
