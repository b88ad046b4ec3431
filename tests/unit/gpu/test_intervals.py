"""gpu.spans: frames become spans, spans become longer ones, and nothing unknown becomes a zero."""

from __future__ import annotations

import pytest

from jupyterd.gpu import intervals
from jupyterd.gpu.intervals import HolderInterval, Spans
from jupyterd.protocol.gpu_frames import Frame, Gpu, GpuProcess

TRAIN, EVAL = "/home/ada/train.ipynb", "/home/ada/eval.ipynb"


def gpu(mean=None, power=None, energy=None, processes=None, used=None, **more):
    return Gpu(0, "GPU-1", "H200", mean, mean, used, 100, 50, power, None, energy_j=energy, processes=processes, **more)


def process(kernel=None, notebook=None, utilisation=None, memory=None, *, user="ada"):
    return GpuProcess(1, memory, utilisation, user, kernel, notebook, "python")


def frame(at, span_s, *gpus):
    return Frame(gpus, None, None, at, span_s)


def test_means_are_weighted_by_time_and_levels_keep_their_peak() -> None:
    made = intervals.of_frames([frame(10, 10, gpu(100, 300, used=90)), frame(40, 30, gpu(20, 100, used=10))], 0, 60)
    (one,) = made.gpus
    assert (one.at, one.span_s, one.covered_s) == (0, 60, 40)
    assert one.utilisation_mean == pytest.approx(40)
    assert one.utilisation_max == 100
    assert one.memory_max_bytes == 90
    assert one.power_w == pytest.approx(150)
    assert one.energy_j == pytest.approx(300 * 10 + 100 * 30)  # no counter: the power over the time
    assert made.holders == ()


def test_unknown_stays_unknown() -> None:
    lost = Gpu(0, "GPU-1", "H200", None, None, None, None, None, None, "lost")
    assert intervals.of_frames([frame(10, 10, lost)], 0, 60) == Spans()
    (one,) = intervals.of_frames([frame(10, 10, gpu(used=5, processes=None))], 0, 60).gpus
    assert (one.utilisation_mean, one.power_w, one.energy_j) == (None, None, None)
    mixed = intervals.of_frames([frame(10, 10, gpu(None, used=1)), frame(20, 10, gpu(50, used=1))], 0, 60)
    assert mixed.gpus[0].utilisation_mean == 50


def test_the_first_frame_covers_no_time_and_counts_where_there_is_nothing_else() -> None:
    (one,) = intervals.of_frames([frame(10, None, gpu(70, 100))], 0, 60).gpus
    assert (one.utilisation_mean, one.covered_s, one.energy_j) == (70, 0, 0)


def test_processes_of_a_kernel_are_one_holder_and_others_go_by_their_user() -> None:
    claimed = (
        process("k1", TRAIN, 30, 10), process("k1", TRAIN, 30, 5), process("k2", EVAL, 20, 1),
        process(utilisation=None, memory=7, user="eve"),
    )  # fmt: skip
    made = intervals.of_frames([frame(10, 10, gpu(80, energy=1000.0, processes=claimed))], 0, 60)
    by = {each.holder: each for each in made.holders}
    train, other = by[HolderInterval("k1", TRAIN, "ada")], by[HolderInterval(None, None, "eve")]
    assert (train.utilisation_mean, train.memory_max_bytes, train.held_s) == (60, 15, 10)
    assert train.energy_j == pytest.approx(750)
    assert (other.utilisation_mean, other.memory_max_bytes, other.energy_j) == (None, 7, 0)


@pytest.mark.parametrize(
    ("processes", "expected"),
    [
        ([process(utilisation=75), process(utilisation=25)], [0.75, 0.25]),
        ([process(utilisation=0, memory=3), process(utilisation=0, memory=1)], [0.75, 0.25]),
        ([process(), process()], [0.5, 0.5]),
        ([process(utilisation=None, memory=9), process(utilisation=10, memory=1)], [0, 1]),
    ],
)
def test_the_energy_is_shared(processes, expected) -> None:
    assert intervals.shares(processes) == expected


def test_a_holder_is_followed_over_a_rename() -> None:
    old, new = process("k1", TRAIN, 10, 1), process("k1", "/home/ada/final.ipynb", 20, 1)
    made = intervals.of_frames(
        [frame(10, 10, gpu(10, processes=(old,))), frame(20, 10, gpu(10, processes=(new,)))], 0, 60
    )
    (one,) = made.holders
    assert one.holder.notebook == "/home/ada/final.ipynb"
    assert one.utilisation_mean == 15


def test_a_span_is_over_with_the_first_frame_of_another() -> None:
    waiting: tuple[Frame, ...] = ()
    done = []
    for at in (61, 71, 119, 0, 120, 125, 185, 90):  # 0: a frame that nobody dated; 90: the clock was set back
        waiting, over = intervals.gathered(waiting, frame(at, 10, gpu(at)), 60)
        done += [over] if over is not None else []
    assert [each.gpus[0].at for each in done] == [60, 120, 180]
    assert [each.gpus[0].covered_s for each in done] == [30, 20, 10]
    assert len(waiting) == 1


def test_minutes_become_hours() -> None:
    minutes = [intervals.of_frames([frame(at + 60, 60, gpu(at / 60, 100))], at, 60) for at in range(0, 7200, 60)]
    whole = Spans(tuple(each.gpus[0] for each in minutes))
    first, second = intervals.coarser(whole, 3600).gpus
    assert (first.at, second.at, first.span_s, first.covered_s) == (0, 3600, 3600, 3600)
    assert first.utilisation_mean == pytest.approx(29.5)
    assert second.utilisation_max == 119
    assert first.energy_j == pytest.approx(360_000)
