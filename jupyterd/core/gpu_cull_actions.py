"""The supervisor's part in culling: takes frames, gives warnings and starts one culler at a time. Pure.

gpu_cull.py judges; the texts are here.
"""

from __future__ import annotations

from dataclasses import replace

from jupyterd.core import gpu_cull, journal_kinds
from jupyterd.core.child import StartedWith, Stopped, process, spawn
from jupyterd.core.effects import Effect, Record, SendToServer
from jupyterd.core.events import Role, WallClock
from jupyterd.core.gpu_cull import CullVerdict, Facts
from jupyterd.core.world import Culling, Step, Warned, World, is_wedged, plan_of
from jupyterd.protocol.gpu_frames import Frame
from jupyterd.protocol.plan import Command
from jupyterd.protocol.server_channel import Notice
from jupyterd.protocol.status import Restart
from jupyterd.text import size, span

_REMEMBERED = 10
_NAME_MOST = 36


def on_frame(world: World, frame: Frame, now: float) -> Step:
    """Take one GPU frame into account. With [gpu.cull] off, all idle times are dropped."""
    policy, culling = plan_of(world).policy, world.culling
    if not policy.cull:
        return reset(world), ()
    seen = gpu_cull.facts(frame, idle_kernels(world))
    candidates, verdicts = gpu_cull.judge(culling.candidates, seen, now, policy, with_cpu=frame.kernels is not None)
    still = {each.facts.kernel for each in candidates if each.warned_at is not None}
    warned = [each for each in culling.warned if each.kernel in still]
    to_end, effects = list(culling.to_end), list[Effect]()
    ended = culling.ended
    for each in verdicts:
        if each.what == "warn":
            text = _warning(each, now, world.clock, dry=policy.cull_dry_run)
            warned.append(Warned(each.facts.kernel, text))
            effects += [] if policy.cull_dry_run else [SendToServer(Notice(_notice(each, now, world.clock)))]
        elif policy.cull_dry_run:
            effects.append(_record(each.facts, f"{_named(each.facts)} would be ended now: {_reason(each)} (dry run)"))
        elif all(each.facts.kernel != other.facts.kernel for other in to_end):
            to_end.append(each)
    return replace(world, culling=Culling(candidates, tuple(warned), tuple(to_end), ended)), tuple(effects)


def reset(world: World) -> World:
    """The world without candidates and warnings: idle times start again at the next frame."""
    return replace(world, culling=Culling(ended=world.culling.ended))


def idle_kernels(world: World) -> tuple[str, ...] | None:
    """Ids of the kernels in which no cell runs, as the running server reported; None: no server has reported."""
    server = process(world.server)
    if world.kernels is None or server is None or world.kernels_of != server.pid:
        return None
    return world.kernels.idle


def start_next_cull(world: World, now: float) -> Step:
    """A rule of reconcile.py: start the culler for the next kernel that is still idle."""
    culling, command = world.culling, plan_of(world).culler
    if not culling.to_end or not isinstance(world.culler, Stopped) or is_wedged(world, Role.CULLER) or command is None:
        return world, ()
    verdict, *others = culling.to_end
    world = replace(world, culling=replace(culling, to_end=tuple(others)))
    kernel, reason = verdict.facts.kernel, _reason(verdict)
    idle = {each.facts.kernel for each in culling.candidates if each.idle_since is not None}
    if kernel not in idle or kernel not in (idle_kernels(world) or ()):
        return world, ()
    argv = (*command.argv, kernel, "--why", f"ended by jupyterd to free the GPU: {reason}")
    culler, effects = spawn(Role.CULLER, Command(argv, command.env, command.cwd), StartedWith("culler"))
    text = f"{_named(verdict.facts)} is ended to free the GPU: {reason}"
    ended = (*culling.ended, Restart(now, text))[-_REMEMBERED:]
    world = replace(world, culler=culler, culling=replace(world.culling, ended=ended))
    return world, (_record(verdict.facts, text), *effects)


def _warning(verdict: CullVerdict, now: float, clock: WallClock, *, dry: bool) -> str:
    will = "would be" if dry else "is"
    end = f"{_named(verdict.facts)} {will} ended at {_time(verdict, now, clock)} to free the GPU"
    return f"{end}, unless a cell runs in it: {_reason(verdict)}"


def _notice(verdict: CullVerdict, now: float, clock: WallClock) -> str:
    """The warning for the browser, which cuts texts at 140 characters."""
    facts = verdict.facts
    name = f"kernel {facts.kernel[:8]}" if facts.notebook is None else facts.notebook.rpartition("/")[2]
    name = name if len(name) <= _NAME_MOST else f"{name[: _NAME_MOST - 1]}…"
    what = f"its kernel ends at {_time(verdict, now, clock)} to free {_amount(facts)} of GPU memory"
    return f"{name}: idle for {span(verdict.idle_s)}; {what}. Run a cell to keep it."


def _time(verdict: CullVerdict, now: float, clock: WallClock) -> str:
    return clock.time_of_day(now + verdict.left_s)


def _named(facts: Facts) -> str:
    if facts.notebook is None:
        return f"kernel {facts.kernel[:8]} (no notebook)"
    return f"the kernel of {facts.notebook.rpartition('/')[2]}"


def _reason(verdict: CullVerdict) -> str:
    amount = _amount(verdict.facts)
    if verdict.what == "warn":
        return f"it holds {amount} of its memory and has been idle for {span(verdict.idle_s)}"
    return f"it held {amount} of its memory and was idle for {span(verdict.idle_s)}"


def _amount(facts: Facts) -> str:
    return size(facts.memory_bytes or 0)


def _record(facts: Facts, text: str) -> Record:
    fields = (("KERNEL_ID", facts.kernel), ("NOTEBOOK", facts.notebook or ""))
    return Record(journal_kinds.KERNEL_CULLED, text, tuple(each for each in fields if each[1]))
