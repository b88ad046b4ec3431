"""Culling through the core's one door: frames and the server's word in; warning, notice and helper out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.worlds import NOTHING, plan

from jupyterd.core import journal_kinds, step
from jupyterd.core.effects import Publish, Record, SendToServer, Spawn
from jupyterd.core.events import (
    Bound,
    ChildExited,
    ChildStarted,
    FrameCame,
    Role,
    ServerSaid,
    Signal,
    SignalReceived,
    Started,
    WallClock,
)
from jupyterd.protocol import server_channel
from jupyterd.protocol.gpu_frames import Frame, Gpu, GpuKernel, GpuProcess
from jupyterd.protocol.policy import Policy
from jupyterd.protocol.status import ProcessIdentity as Pid

GIB = 1 << 30
POLICY = Policy(
    cull=True, cull_memory_bytes=GIB, cull_idle_s=1200, cull_warning_s=300, start_timeout_s=1e9, spare=False
)


class Play:
    """A supervisor with a server that has said that both kernels are idle, and a sampler; a frame each 10 s."""

    def __init__(self, policy=POLICY):
        self.world, self.now, self.effects = step.start(), 1000.0, []
        made = replace(plan(policy), culler=replace(NOTHING, argv=("/bin/jupyterd", "kernels", "stop")))
        self.event(Started(made, WallClock(1.7e9, 0), Pid(1, 1)))
        self.event(Bound(()))
        self.event(ChildStarted(Role.SERVER, 50, 1))
        self.event(ChildStarted(Role.SAMPLER_RELAY, 51, 1))
        self.says("k1", "k2")

    def event(self, event):
        self.world, effects = step.step(self.world, event, self.now, 0.0)
        self.effects += effects
        return effects

    def says(self, *idle, pid=50):
        return self.event(ServerSaid(pid, server_channel.KernelCounts(2, 2 - len(idle), idle)))

    def frame(self, memory=10 * GIB, *, with_cpu):
        held = tuple(GpuProcess(7, memory, 0.0, "ada", name, f"/n/{name}.ipynb", "python") for name in ("k1", "k2"))
        cpu = (GpuKernel("k1", 1.0), GpuKernel("k2", self.now)) if with_cpu else None  # k2 computes
        gpu = Gpu(0, "GPU-0", "H200", 0.0, 0.0, 1, 2, 3, 4.0, None, processes=held)
        return self.event(FrameCame(Frame((gpu,), None, None, self.now, 10.0, pid=51, kernels=cpu)))

    def minutes(self, count):
        found = []
        for _ in range(count * 6):
            self.now += 10
            found += self.frame(with_cpu=self.now % 60 == 40)
        return found


def of(kind, effects):
    return [each for each in effects if isinstance(each, kind)]


def culls(effects):
    return [each.command.argv for each in of(Spawn, effects) if each.role is Role.CULLER]


def test_the_idle_one_is_told_everywhere_and_then_ended_by_the_helper() -> None:
    play = Play()
    warned = play.minutes(17)
    (notice,) = of(SendToServer, warned)
    assert isinstance(notice.message, server_channel.Notice)
    assert notice.message.text.startswith("k1.ipynb: idle for 15 min; its kernel ends at ")
    assert notice.message.text.endswith(" to free 10.0 GiB of GPU memory. Run a cell to keep it.")
    assert len(notice.message.text) + 36 - len("k1.ipynb") <= 140, "the page cuts what is longer"
    (raised,) = [each for each in of(Record, warned) if each.kind is journal_kinds.GPU_RAISED]
    assert "the kernel of k1.ipynb is ended at" in raised.message
    assert "holds 10.0 GiB" in raised.message
    assert ("HEALTH_CODE", "gpu-cull-soon") in raised.fields
    assert culls(warned) == []
    ending = play.minutes(7)
    ((*_, kernel, why, reason),) = culls(ending)
    assert (kernel, why) == ("k1", "--why")
    assert "to free the GPU: it held 10.0 GiB of its memory and was idle for 20 min" in reason
    (told,) = [each for each in of(Record, ending) if each.kind is journal_kinds.KERNEL_CULLED]
    assert ("KERNEL_ID", "k1") in told.fields
    assert of(Publish, ending)[-1].snapshot.culled[0].cause == told.message


@pytest.mark.parametrize("what", ["a cell runs", "another server", "no server", "sampler gone", "switched off"])
def test_what_takes_a_warning_back(what) -> None:
    play = Play()
    play.minutes(17)
    match what:
        case "a cell runs":
            play.says("k2")
        case "another server":
            play.event(ChildExited(Role.SERVER, 50, 1, None))
            play.event(ChildStarted(Role.SERVER, 60, 1))
        case "no server":
            play.event(ChildExited(Role.SERVER, 50, 1, None))
        case "sampler gone":
            play.event(ChildExited(Role.SAMPLER_RELAY, 51, 1, None))
        case "switched off":
            play.world = replace(play.world, plan=replace(play.world.plan, policy=replace(POLICY, cull=False)))
    after = play.minutes(30)
    assert culls(after) == []
    assert not play.world.culling.warned


def test_a_new_server_s_word_is_enough() -> None:
    play = Play()
    play.event(ChildExited(Role.SERVER, 50, 1, None))
    play.event(ChildStarted(Role.SERVER, 60, 1))
    play.says("k1", pid=60)
    assert len(culls(play.minutes(25))) == 1


def test_a_cell_that_begins_while_another_is_being_ended_saves_its_kernel() -> None:
    play = Play()
    play.minutes(17)
    verdict = replace(play.world.culling, to_end=())
    play.world = replace(play.world, culling=verdict)
    ending = play.minutes(7)
    assert len(culls(ending)) == 1
    play.event(ChildStarted(Role.CULLER, 70, 1))
    play.world = replace(play.world, culling=replace(play.world.culling, to_end=_to_end(play)))
    play.says("k2")
    assert culls(play.event(ChildExited(Role.CULLER, 70, 0, None))) == []
    assert play.world.culling.to_end == ()


def _to_end(play):
    from jupyterd.core.gpu_cull import CullVerdict  # noqa: PLC0415 - for this one

    (one,) = [each for each in play.world.culling.candidates if each.facts.kernel == "k1"]
    return (CullVerdict("end", one.facts, 1200.0, 0.0),)


def test_a_dry_run_only_says_so() -> None:
    play = Play(replace(POLICY, cull_dry_run=True))
    effects = play.minutes(60)
    assert culls(effects) == []
    assert of(SendToServer, effects) == []
    (told,) = [each for each in of(Record, effects) if each.kind is journal_kinds.KERNEL_CULLED]
    assert "would be ended now" in told.message


def test_off_by_default() -> None:
    assert Policy().cull is False
    play = Play(replace(POLICY, cull=False))
    assert of(SendToServer, play.minutes(60)) == []
    assert play.world.culling.candidates == ()


def test_a_stop_ends_the_helper_too() -> None:
    play = Play()
    play.minutes(24)
    play.event(ChildStarted(Role.CULLER, 70, 1))
    effects = play.event(SignalReceived(Signal.TERM))
    assert any(getattr(each, "role", None) is Role.CULLER for each in effects)
