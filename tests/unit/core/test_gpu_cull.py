"""core.culling: when a kernel that holds GPU memory is warned about and ended. Values in, values out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jupyterd.core import gpu_cull
from jupyterd.core.gpu_cull import Facts
from jupyterd.protocol.gpu_frames import Frame, Gpu, GpuKernel, GpuProcess
from jupyterd.protocol.policy import Policy

GIB = 1 << 30
POLICY = Policy(cull=True, cull_memory_bytes=GIB, cull_idle_s=7200, cull_warning_s=600, gpu_silence_s=45)
IDLE = Facts("k1", "/n/train.ipynb", 10 * GIB, 0.0, 5.0, executing=False)


class Life:
    """One kernel, looked at once a minute; `now` is its clock."""

    def __init__(self, policy=POLICY):
        self.policy, self.now, self.watched, self.told = policy, 1000.0, (), []

    def minute(self, facts: Facts | None = IDLE, *, with_cpu=True, after=60.0):
        self.now += after
        seen = () if facts is None else (facts,)
        self.watched, verdicts = gpu_cull.judge(self.watched, seen, self.now, self.policy, with_cpu=with_cpu)
        self.told += [(each.what, round((self.now - 1000) / 60)) for each in verdicts]
        return verdicts

    def minutes(self, count, facts: Facts | None = IDLE):
        for _ in range(count):
            self.minute(facts)
        return self


def test_an_idle_kernel_is_warned_about_and_then_ended() -> None:
    life = Life().minutes(125)
    assert life.told == [("warn", 111), ("end", 121)]


def test_the_verdicts_say_how_long() -> None:
    life = Life().minutes(110)
    (warning,) = life.minute()
    assert (warning.idle_s, warning.left_s) == (6600, 600)
    life.minutes(9)
    (end,) = life.minute()
    assert (end.idle_s, end.left_s, end.facts.notebook) == (7200, 0, "/n/train.ipynb")


@pytest.mark.parametrize(
    "work",
    [
        {"executing": True}, {"executing": None}, {"gpu_per_cent": 1.0}, {"gpu_per_cent": None},
        {"memory_bytes": GIB}, {"memory_bytes": None}, {"cpu_s": None}, {"cpu_s": 5.0 + 60 * 0.031}, {"cpu_s": 4.0},
    ],
    ids=str,
)  # fmt: skip
def test_any_work_and_anything_unknown_begins_the_time_anew(work) -> None:
    life = Life().minutes(115)
    assert life.told == [("warn", 111)]
    life.minute(replace(IDLE, **work))
    assert life.watched[0].idle_since is None and life.watched[0].warned_at is None
    life.minutes(105, replace(IDLE, cpu_s=work.get("cpu_s") or 5.0))
    assert life.told == [("warn", 111)]
    assert not Life().minutes(500, replace(IDLE, **work)).told or ("cpu_s" in work and work["cpu_s"] is not None)


def test_work_between_two_readings_of_the_processor_counts_too() -> None:
    life = Life().minutes(115)
    life.minute(replace(IDLE, gpu_per_cent=30.0, cpu_s=None), with_cpu=False, after=10)
    life.minute(after=50)
    life.minutes(20)
    assert life.told == [("warn", 111)]


def test_looks_without_the_processor_decide_nothing_and_forget_nothing() -> None:
    life = Life()
    for _ in range(125):
        life.minute(after=10)
        for _ in range(5):
            life.minute(replace(IDLE, cpu_s=None), with_cpu=False, after=10)
    assert life.told == [("warn", 110), ("end", 120)]


def test_a_constantly_working_thread_keeps_a_kernel() -> None:
    life = Life()
    for minute in range(600):
        life.minute(replace(IDLE, cpu_s=minute * 60 * 0.05))
    assert life.told == []


def test_after_a_gap_the_time_begins_anew() -> None:
    life = Life().minutes(118)
    life.minute(after=91)  # the sampler was away
    life.minutes(100)
    assert life.told == [("warn", 111)]


def test_a_kernel_that_frees_its_memory_is_forgotten() -> None:
    life = Life().minutes(115)
    life.minute(None)
    assert life.watched == ()
    life.minutes(100)
    assert life.told == [("warn", 111)]


def test_one_that_does_not_end_is_ended_again_later() -> None:
    life = Life().minutes(132)
    assert life.told == [("warn", 111), ("end", 121), ("end", 131)]


def test_a_dry_run_says_it_once() -> None:
    life = Life(replace(POLICY, cull_dry_run=True)).minutes(500)
    assert life.told == [("warn", 111), ("end", 121)]


def test_nobody_is_ended_without_the_whole_warning() -> None:
    life = Life(replace(POLICY, cull_idle_s=60, cull_warning_s=300)).minutes(10)
    assert life.told == [("warn", 2), ("end", 7)]
    late = Life(replace(POLICY, cull_idle_s=7200)).minutes(200, replace(IDLE, executing=None))
    late.minutes(125)
    assert late.told == [("warn", 310), ("end", 320)]


def gpu(index, mean, peak, *processes):
    return Gpu(index, f"GPU-{index}", "H200", mean, peak, 1, 2, 3, 4.0, None, processes=processes)


def held(kernel, memory, utilisation):
    return GpuProcess(1, memory, utilisation, "ada", kernel, f"/n/{kernel}", "python")


def test_facts_out_of_a_frame() -> None:
    frame = Frame(
        (
            gpu(0, 50.0, 90.0, held("k1", GIB, 0.0), held("k1", GIB, 0.5), held("k2", None, None)),
            gpu(1, 0.0, 0.4, held("k2", GIB, None), GpuProcess(9, 1, 1.0, "eve", None, None, "x")),
            gpu(2, None, None, held("k3", GIB, None)),
        ),
        None, None, kernels=(GpuKernel("k1", 7.0), GpuKernel("k2", None)),
    )  # fmt: skip
    one, two, three = gpu_cull.facts(frame, ("k1",))
    assert one == Facts("k1", "/n/k1", 2 * GIB, 0.5, 7.0, executing=False)  # others' work on its GPU is not its own
    assert (two.memory_bytes, two.gpu_per_cent, two.cpu_s, two.executing) == (GIB, 90.0, None, True)
    assert three.gpu_per_cent is None
    assert {each.executing for each in gpu_cull.facts(frame, None)} == {None}


def test_a_week() -> None:
    """Five kernels with their habits, a look a minute for seven days; who was ended, when, and why not the others."""
    policy = replace(POLICY, cull_idle_s=4 * 3600, cull_warning_s=1800)
    cpu = dict.fromkeys(("trains", "forgotten", "office", "loader", "blind"), 0.0)
    watched, ended = (), {}
    for minute in range(7 * 24 * 60):
        hour, day = minute / 60 % 24, minute // 1440
        at_work = day < 5 and 9 <= hour < 17 and minute % 60 < 20
        cpu["trains"] += 20.0
        cpu["office"] += 10.0 if at_work else 0.05
        cpu["loader"] += 4.0 if minute % 120 == 0 else 0.05  # something each two hours
        cpu["forgotten"] += 5.0 if minute < 300 else 0.05
        seen = (
            Facts("trains", None, 9 * GIB, 95.0, cpu["trains"], executing=True),
            Facts("forgotten", None, 9 * GIB, 0.0, cpu["forgotten"], executing=False),
            Facts("office", None, 9 * GIB, 60.0 if at_work else 0.0, cpu["office"], executing=at_work),
            Facts("loader", None, 9 * GIB, 0.0, cpu["loader"], executing=False),
            Facts("blind", None, 9 * GIB, None if minute % 200 == 0 else 0.0, 0.0, executing=False),
            Facts("small", None, GIB // 2, 0.0, 0.0, executing=False),
        )
        seen = tuple(each for each in seen if each.kernel not in ended)
        watched, verdicts = gpu_cull.judge(watched, seen, minute * 60.0, policy, with_cpu=True)
        for each in verdicts:
            if each.what == "end":
                ended[each.facts.kernel] = (day, hour)
    assert ended.keys() == {"forgotten", "office"}
    assert ended["forgotten"] == (0, pytest.approx(9.0, abs=0.1))  # idle from 5:00 on
    assert ended["office"] == (0, pytest.approx(4.0, abs=0.1))  # the first night, before anybody came


def process(memory, utilisation, kernel="k", notebook="/n/a.ipynb"):
    return GpuProcess(1, memory, utilisation, "ada", kernel, notebook, "python")


@pytest.mark.parametrize(
    ("processes", "memory", "per_cent", "notebook"),
    [
        ((process(1, 2.0), process(2, 3.0)), 3, 5.0, "/n/a.ipynb"),
        ((process(None, 0.0), process(2, 0.0)), 2, 0.0, "/n/a.ipynb"),
        ((process(None, 0.0),), None, 0.0, "/n/a.ipynb"),
        ((process(1, None), process(2, 3.0)), 3, 70.0, "/n/a.ipynb"),  # one tells nothing: the whole GPU's peak
        ((process(1, 0.0, notebook=None), process(1, 0.0, notebook="/n/b.ipynb")), 2, 0.0, "/n/b.ipynb"),
    ],
)
def test_what_a_kernel_s_processes_do_together(processes, memory, per_cent, notebook) -> None:
    (one,) = gpu_cull.facts(Frame((gpu(0, 50.0, 70.0, *processes),), None, None), ())
    assert (one.kernel, one.memory_bytes, one.gpu_per_cent, one.notebook) == ("k", memory, per_cent, notebook)
    assert (one.cpu_s, one.executing) == (None, True)


@pytest.mark.parametrize(
    ("first", "second", "per_cent"),
    [(1.0, 7.0, 7.0), (7.0, 1.0, 7.0), (None, 1.0, 90.0), (1.0, None, 90.0)],
)
def test_the_busiest_of_its_gpus_counts(first, second, per_cent) -> None:
    gpus = (gpu(0, 50.0, 90.0, process(1, first)), gpu(1, 50.0, 90.0, process(1, second)))
    assert gpu_cull.facts(Frame(gpus, None, None), ())[0].gpu_per_cent == per_cent


def test_a_gpu_that_tells_nothing_makes_it_unknown() -> None:
    gpus = (gpu(0, None, None, process(1, None)), gpu(1, 0.0, 0.0, process(1, 0.0)))
    assert gpu_cull.facts(Frame(gpus, None, None), ())[0].gpu_per_cent is None
    assert gpu_cull.facts(Frame((replace(gpu(0, 0.0, 0.0), processes=None),), None, None), ()) == ()


@pytest.mark.parametrize(
    ("cpu_s", "seconds", "rests"),
    [
        (5.0, 60.0, True),
        (6.5, 50.0, True),  # 3 % of a processor
        (5.0 + 1.81, 60.0, False),
        (4.99, 60.0, False),
        (5.0, 0.0, False),  # no time to have rested in
        (5.0, 90.0, True),
        (5.0, 90.1, False),  # nobody looked for twice the time that a sampler may be silent
    ],
)
def test_two_readings_of_the_processor_around_nothing_are_a_rest(cpu_s, seconds, rests) -> None:
    life = Life()
    life.minute()
    life.minute(replace(IDLE, cpu_s=cpu_s), after=seconds)
    (one,) = life.watched
    assert one.idle_since == (1060.0 if rests else None)
    assert (one.at, one.cpu_at, one.facts.cpu_s) == (1060.0 + seconds, 1060.0 + seconds, cpu_s)


def test_it_has_been_idle_since_the_first_of_the_two() -> None:
    life = Life().minutes(3)
    assert life.watched[0].idle_since == 1060.0
    life.minute(replace(IDLE, cpu_s=None))
    assert (life.watched[0].idle_since, life.watched[0].cpu_at) == (None, None), "unknown is not idle"
    life.minutes(2)
    assert life.watched[0].idle_since == 1300.0


def test_a_look_without_the_processor_keeps_what_was_read_last() -> None:
    life = Life().minutes(3)
    before = life.watched[0]
    life.minute(replace(IDLE, cpu_s=None, memory_bytes=11 * GIB), with_cpu=False, after=10)
    (one,) = life.watched
    assert one == replace(before, at=1190.0, facts=replace(IDLE, memory_bytes=11 * GIB))
    fresh = Life()
    fresh.minute(with_cpu=False)
    assert (fresh.watched[0].cpu_at, fresh.watched[0].idle_since) == (None, None)


def test_a_late_warning_gives_the_whole_time_all_the_same() -> None:
    life = Life()
    life.minute(with_cpu=True)
    life.minute()
    life.watched = tuple(replace(each, idle_since=life.now - 9000.0) for each in life.watched)
    (warning,) = life.minute()
    assert (warning.what, warning.idle_s, warning.left_s) == ("warn", 9060.0, 600.0)
    assert life.watched[0].warned_at == life.now
    assert not life.minutes(9).told[1:]
    (end,) = life.minute()
    assert (end.what, life.watched[0].ended_at) == ("end", life.now)


def test_each_kernel_has_its_own_time() -> None:
    other = replace(IDLE, kernel="k2")
    watched = ()
    for minute in range(125):
        seen = (IDLE, other) if minute >= 60 else (IDLE,)
        watched, verdicts = gpu_cull.judge(watched, seen, 1000.0 + 60.0 * minute, POLICY, with_cpu=True)
        assert {each.facts.kernel for each in verdicts} <= {"k1"}
    assert [each.facts.kernel for each in watched] == ["k1", "k2"]
    assert [each.idle_since for each in watched] == [1000.0, 4600.0]
