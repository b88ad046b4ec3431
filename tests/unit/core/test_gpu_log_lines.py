"""core.gpu_log (which lines) and protocol.gpu_text: what the journal gets of GPUs, and who holds their memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jupyterd.core import gpu_log
from jupyterd.core.gpu_log import LastLine, aggregate, fields
from jupyterd.protocol.gpu_frames import Gpu, GpuProcess, Xid
from jupyterd.protocol.gpu_text import holders, line, named
from jupyterd.protocol.policy import Policy

GIB = 1024**3
BUSY = Gpu(0, "GPU-0", "NVIDIA GeForce RTX 4090", 87.0, 100.0, int(18.2 * GIB), 24 * GIB, 71, 310.0, None)
IDLE = replace(BUSY, utilisation_mean=0.0, utilisation_max=0.0, power_w=18.0, temperature_c=38)


def process(pid: int, gib: float | None, kernel: str | None = None, notebook: str | None = None) -> GpuProcess:
    memory = None if gib is None else int(gib * GIB)
    return GpuProcess(pid, memory, 10.0, "ada" if kernel else "root", kernel, notebook, "python")


TRAIN = process(1, 16.0, "k-1", "/home/ada/train.ipynb")
WORKER = process(2, 0.9, "k-1", "/home/ada/train.ipynb")
EVAL = process(3, 1.2, "k-2", "/home/ada/eval.ipynb")


def said_over(gpus: list[Gpu]) -> list[str | None]:
    """A line, or None, for each minute."""
    said: tuple[LastLine, ...] = ()
    found: list[str | None] = []
    for minute, each in enumerate(gpus):
        said, due = gpu_log.due(said, (each,), 60.0 * minute, Policy())
        found.append(due[0][1] if due else None)
    return found


def test_the_line_of_the_readme() -> None:
    each = replace(BUSY, processes=(EVAL, TRAIN, WORKER))
    assert line(each) == (
        "gpu0 RTX 4090: 87 % (peak 100), 18.2 of 24 GiB, 71 °C, 310 W, train.ipynb 16.9 GiB, eval.ipynb 1.2 GiB"
    )
    assert [value for name, value in fields(each) if name == "GPU_NOTEBOOK"] == [
        "/home/ada/eval.ipynb",
        "/home/ada/train.ipynb",
    ]


def test_a_worker_counts_for_its_notebook() -> None:
    first, second = holders((EVAL, TRAIN, WORKER))
    assert (first.label, first.pids, first.utilisation) == ("train.ipynb", (1, 2), 20.0)
    assert first.memory_bytes == TRAIN.memory_bytes + WORKER.memory_bytes
    assert second.notebook == "/home/ada/eval.ipynb"


@pytest.mark.parametrize(
    ("processes", "expected"),
    [
        ((), ""),
        ((process(7, 0.01),), "python of root 10 MiB"),
        ((process(7, 1, "1a2b3c4d-5e6f"),), "kernel 1a2b3c4d 1.0 GiB"),
        ((process(7, None, "k-1", "/a/x.ipynb"),), "x.ipynb"),
        ((process(7, 1, "k", "/a/x.ipynb"), process(8, 2, "l", "/b/x.ipynb")), "b/x.ipynb 2.0 GiB, a/x.ipynb 1.0 GiB"),
        ((process(7, 1), process(8, 1)), "python of root 2.0 GiB"),
        (
            tuple(process(n, n, f"k-{n}", f"/{n}.ipynb") for n in range(1, 7)),
            "6.ipynb 6.0 GiB, 5.ipynb 5.0 GiB, 4.ipynb 4.0 GiB, 3.ipynb 3.0 GiB, 2 more",
        ),
    ],
)  # fmt: skip
def test_who_holds_it(processes: tuple[GpuProcess, ...], expected: str) -> None:
    assert named(holders(processes)) == expected


def test_a_busy_gpu_is_told_each_minute() -> None:
    assert None not in said_over([BUSY] * 5)


def test_an_idle_gpu_is_told_each_quarter_of_an_hour() -> None:
    said = said_over([BUSY] + [IDLE] * 61)
    assert [minute for minute, each in enumerate(said) if each] == [0, 1, 16, 31, 46, 61]
    assert said[1] == "gpu0 RTX 4090: 0 % (peak 0), 18.2 of 24 GiB, 38 °C, 18 W"
    assert said[61] == "gpu0 RTX 4090: idle for 1 h, 18.2 of 24 GiB, 38 °C, 18 W"


def test_work_after_idleness_and_another_holder_are_told_at_once() -> None:
    held = replace(IDLE, processes=(TRAIN,))
    said = said_over([IDLE, IDLE, BUSY, IDLE, IDLE, held, held, BUSY])
    assert [each is not None for each in said] == [True, False, True, True, False, True, False, True]


def test_unknown_is_not_idle_and_trouble_is_not_repeated() -> None:
    unknown = replace(IDLE, utilisation_mean=None, utilisation_max=None)
    assert None not in said_over([unknown] * 3)
    lost = replace(unknown, trouble="the GPU is lost")
    assert said_over([lost] * 3)[1:] == [None, None]
    assert said_over([replace(unknown, asleep=True)] * 3)[1:] == [None, None]


def test_a_desktop_that_blinks_is_idle() -> None:
    assert gpu_log.idle(replace(IDLE, utilisation_mean=0.4, utilisation_max=5.0))
    assert gpu_log.idle(replace(IDLE, utilisation_mean=3.0, utilisation_max=5.0)) is False
    assert gpu_log.idle(replace(IDLE, utilisation_max=None)) is None


def test_a_minute_of_samples_keeps_energy_errors_and_processes() -> None:
    first = replace(BUSY, energy_j=100.0, utilisation_p95=99.0, xids=(Xid(31, 1.0),), processes=(TRAIN,))
    one = aggregate([first, replace(BUSY, energy_j=50.0, utilisation_p95=90.0), BUSY])
    assert (one.energy_j, one.utilisation_p95, one.xids, one.processes) == (150.0, 99.0, (Xid(31, 1.0),), (TRAIN,))
    assert aggregate([BUSY]).energy_j is None


@pytest.mark.parametrize(
    ("user", "command", "label"),
    [
        ("ada", "python", "python of ada"),
        (None, "python", "python"),
        ("ada", None, "process 7 of ada"),
        (None, None, "process 7"),
    ],
)
def test_a_stranger_is_called_by_what_is_known_of_it(user, command, label) -> None:
    (one,) = holders((GpuProcess(7, None, None, user, None, None, command),))
    assert (one.label, one.user, one.kernel, one.notebook, one.pids) == (label, user, None, None, (7,))
    assert (one.memory_bytes, one.utilisation) == (None, None)
