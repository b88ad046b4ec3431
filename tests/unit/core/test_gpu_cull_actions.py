"""Culling through the core's one door: frames and the server's word in; warning, notice and helper out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.worlds import NOTHING, plan

from jupyterd.core import gpu_cull_actions, journal_kinds, step
from jupyterd.core.child import Spawning, Stopped
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
from jupyterd.core.gpu_cull import CullCandidate, CullVerdict, Facts
from jupyterd.core.world import Culling, Warned, Wedged
from jupyterd.protocol import server_channel
from jupyterd.protocol.gpu_frames import Frame, Gpu, GpuKernel, GpuProcess
from jupyterd.protocol.policy import Policy
from jupyterd.protocol.status import ProcessIdentity as Pid
from jupyterd.protocol.status import Restart

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


ONE = Facts("k1234567-89", "/n/sub/train.ipynb", 10 * GIB, 0.0, 5.0, executing=False)
DUE = CullVerdict("end", ONE, 1200.0, 0.0)
HELPER = replace(NOTHING, argv=("/bin/jupyterd", "kernels", "stop"), env=(("A", "1"),), cwd="/srv")


def due(*verdicts, **changes):
    """A world in which the server says that all these kernels are idle, and they are due."""
    world = replace(Play().world, plan=replace(plan(POLICY), culler=HELPER))
    kernels = tuple(each.facts.kernel for each in verdicts)
    counts = server_channel.KernelCounts(len(kernels), 0, kernels)
    culling = Culling(tuple(CullCandidate(each.facts, 1000.0, 1000.0, 0.0, 500.0) for each in verdicts), (), verdicts)
    return replace(world, **{"kernels": counts, "kernels_of": 50, "culling": culling, **changes})


def test_the_helper_gets_the_kernel_and_the_reason() -> None:
    world, effects = gpu_cull_actions.start_next_cull(due(DUE), 2000.0)
    why = "it held 10.0 GiB of its memory and was idle for 20 min"
    text = f"the kernel of train.ipynb is ended to free the GPU: {why}"
    argv = (*HELPER.argv, "k1234567-89", "--why", f"ended by jupyterd to free the GPU: {why}")
    fields = (("KERNEL_ID", "k1234567-89"), ("NOTEBOOK", "/n/sub/train.ipynb"))
    assert effects == (
        Record(journal_kinds.KERNEL_CULLED, text, fields),
        Spawn(Role.CULLER, replace(HELPER, argv=argv)),
    )
    assert world.culling.ended == (Restart(2000.0, text),)
    assert world.culling.to_end == ()
    assert isinstance(world.culler, Spawning)


def test_a_kernel_without_a_notebook_is_named_by_its_id() -> None:
    lone = replace(DUE, facts=replace(ONE, notebook=None, memory_bytes=200 << 20))
    _, (record, _) = gpu_cull_actions.start_next_cull(due(lone), 2000.0)
    assert record.message.startswith("kernel k1234567 (no notebook) is ended to free the GPU: it held 200 MiB of its")
    assert record.fields == (("KERNEL_ID", "k1234567-89"),)


def test_one_helper_at_a_time_and_the_last_ten_are_remembered() -> None:
    two = replace(DUE, facts=replace(ONE, kernel="k2"))
    old = tuple(Restart(float(each), "") for each in range(10))
    world = due(DUE, two)
    world, effects = gpu_cull_actions.start_next_cull(replace(world, culling=replace(world.culling, ended=old)), 2000.0)
    assert culls(effects)[0][3] == "k1234567-89"
    assert world.culling.to_end == (two,)
    assert (len(world.culling.ended), world.culling.ended[0].at) == (10, 1.0)
    assert gpu_cull_actions.start_next_cull(world, 2000.0) == (world, ())
    assert culls(gpu_cull_actions.start_next_cull(replace(world, culler=Stopped()), 2000.0)[1])[0][3] == "k2"


@pytest.mark.parametrize(
    "changes",
    [
        {"kernels": server_channel.KernelCounts(1, 1, ())},
        {"kernels": None},
        {"kernels_of": 49},
        {"server": Stopped()},
    ],
    ids=["a cell runs", "nobody says", "another server says", "no server"],
)
def test_who_may_not_be_ended_any_more_is_let_go(changes) -> None:
    world, effects = gpu_cull_actions.start_next_cull(due(DUE, **changes), 2000.0)
    assert effects == ()
    assert world.culling.to_end == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"plan": plan(POLICY)},
        {"wedged": (Wedged(Role.CULLER, Pid(9, 9), 0.0),)},
        {"culling": Culling()},
    ],
    ids=["no helper", "a wedged helper", "nothing due"],
)
def test_nothing_to_do(changes) -> None:
    world = due(DUE, **changes)
    assert gpu_cull_actions.start_next_cull(world, 2000.0) == (world, ())


def test_a_kernel_that_has_worked_since_is_let_go() -> None:
    world = due(DUE)
    busy = tuple(replace(each, idle_since=None) for each in world.culling.candidates)
    world = replace(world, culling=replace(world.culling, candidates=busy))
    assert gpu_cull_actions.start_next_cull(world, 2000.0)[1] == ()


def warned(notebook, *, dry=False):
    """The world and the effects when a kernel is warned about: idle for 900 s, 300 s before its end."""
    policy = replace(POLICY, cull_dry_run=dry)
    world = replace(due(), plan=replace(plan(policy), culler=HELPER))
    counts = server_channel.KernelCounts(1, 0, ("k1234567-89",))
    candidate = CullCandidate(replace(ONE, notebook=notebook), 1890.0, 1890.0, 1000.0)
    world = replace(world, kernels=counts, culling=Culling((candidate,)), clock=WallClock(1_800_000_000.0, 3600))
    held = (GpuProcess(7, 10 * GIB, 0.0, "ada", "k1234567-89", notebook, "python"),)
    gpu = Gpu(0, "GPU-0", "H200", 0.0, 0.0, 1, 2, 3, 4.0, None, processes=held)
    frame = Frame((gpu,), None, None, kernels=(GpuKernel("k1234567-89", 5.0),))
    return gpu_cull_actions.on_frame(world, frame, 1900.0)


def test_a_warning_says_when_on_the_wall_s_clock() -> None:
    world, effects = warned("/n/train.ipynb")
    at = "09:36"  # 1 800 000 000 is 08:00 UTC; 2200 s later, one hour east
    why = "it holds 10.0 GiB of its memory and has been idle for 15 min"
    text = f"the kernel of train.ipynb is ended at {at} to free the GPU, unless a cell runs in it: {why}"
    assert world.culling.warned == (Warned("k1234567-89", text),)
    notice = (
        f"train.ipynb: idle for 15 min; its kernel ends at {at} to free 10.0 GiB of GPU memory. Run a cell to keep it."
    )
    assert effects == (SendToServer(server_channel.Notice(notice)),)


@pytest.mark.parametrize(
    ("notebook", "name"),
    [
        (None, "kernel k1234567"),
        ("/n/" + "x" * 36, "x" * 36),
        ("/n/" + "x" * 37, "x" * 35 + "…"),
    ],
)
def test_a_notice_is_short_enough_for_the_page(notebook, name) -> None:
    (notice,) = warned(notebook)[1]
    assert notice.message.text.startswith(f"{name}: idle for")
    assert len(notice.message.text) <= 140


def test_a_dry_run_tells_nobody_who_would_lose_a_kernel() -> None:
    world, effects = warned("/n/train.ipynb", dry=True)
    assert effects == ()
    (each,) = world.culling.warned
    assert each.text.startswith("the kernel of train.ipynb would be ended at 09:36 to free the GPU")


def test_what_would_be_ended_is_said_in_a_dry_run() -> None:
    play = Play(replace(POLICY, cull_dry_run=True))
    (said,) = [each for each in of(Record, play.minutes(60)) if each.kind is journal_kinds.KERNEL_CULLED]
    why = "it held 10.0 GiB of its memory and was idle for 20 min"
    assert said.message == f"the kernel of k1.ipynb would be ended now: {why} (dry run)"
    assert said.fields == (("KERNEL_ID", "k1"), ("NOTEBOOK", "/n/k1.ipynb"))


def test_what_has_been_ended_is_remembered_when_the_sampler_goes() -> None:
    world = due(DUE)
    ended = (Restart(1.0, "x"),)
    world = replace(world, culling=replace(world.culling, ended=ended))
    assert gpu_cull_actions.reset(world).culling == Culling(ended=ended)
    frame = Frame((), None, None)
    assert gpu_cull_actions.on_frame(world, frame, 2000.0)[0].culling.ended == ended


def test_a_warning_stands_until_its_kernel_works_or_is_gone() -> None:
    play = Play()
    play.minutes(16)
    (first,) = play.world.culling.warned
    play.minutes(1)
    assert play.world.culling.warned == (first,)
    play.now += 10
    play.event(FrameCame(Frame((), None, None, play.now, 10.0, pid=51)))
    assert play.world.culling.warned == ()
