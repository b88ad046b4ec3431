"""core.gpu_trouble through the health machine: once when it starts, once when it ends, nothing in between."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jupyterd.core import gpu_health, health, xids
from jupyterd.core.gpu_health import Error
from jupyterd.core.health import ActiveCondition
from jupyterd.protocol.gpu_frames import Frame, Gpu, GpuProcess, Xid

GIB = 1024**3
FINE = Gpu(
    0, "GPU-0", "NVIDIA GeForce RTX 4090", 50.0, 90.0, 10 * GIB, 24 * GIB, 60, 300.0, None,
    throttle=("power-cap",), ecc_uncorrected=0, remap_pending=False, remap_failed=False,
    recovery="none", processes=(GpuProcess(7, 4 * GIB, 50.0, "ada", "k-1", "/home/ada/train.ipynb", "python"),),
)  # fmt: skip
IDLE = replace(FINE, utilisation_mean=0.0, utilisation_max=0.0)


def told(frames: list[tuple[float, Frame]]) -> list[tuple[float, str, str]]:
    """(when, "raised" or "cleared", text)."""
    held: tuple[ActiveCondition, ...] = ()
    errors: tuple[Error, ...] = ()
    found = []
    for now, frame in frames:
        errors = gpu_health.remember(errors, frame, now)
        held, raised, cleared = health.update(held, gpu_health.conditions(frame, errors, held, now), now)
        found += [(now, "raised", each.text) for each in raised]
        found += [(now, "cleared", each.condition.text) for each in cleared]
    return found


def every(seconds: float, *frames: Gpu) -> list[tuple[float, Frame]]:
    return [(index * seconds, Frame((each,), None, None)) for index, each in enumerate(frames)]


def test_a_healthy_gpu_at_full_power_says_nothing() -> None:
    assert told(every(10, *[FINE] * 500)) == []
    assert told(every(10, Gpu(0, "GPU-0", "x", None, None, None, None, None, None, None))) == []


@pytest.mark.parametrize(
    ("sick", "text"),
    [
        ({"trouble": "the GPU is lost"}, "gpu0 RTX 4090: the GPU is lost"),
        ({"throttle": ("power-cap", "thermal"), "temperature_c": 92}, "gpu0 RTX 4090 is slowed down by heat (92 °C)"),
        (
            {"memory_used_bytes": int(23.5 * GIB)},
            "gpu0 RTX 4090: its memory is nearly full (512 MiB left; held by train.ipynb 4.0 GiB)",
        ),
        ({"remap_pending": True}, "gpu0 RTX 4090: a bad row of its memory is replaced at the next reset"),
        (
            {"remap_pending": True, "remap_failed": True},
            "gpu0 RTX 4090: bad rows of its memory can no longer be replaced",
        ),
        ({"ecc_uncorrected": 1}, "gpu0 RTX 4090: 1 error of its memory could not be corrected"),
        ({"recovery": "reset"}, "gpu0 RTX 4090 needs a reset"),
        (
            {"utilisation_mean": 0.0, "utilisation_max": 0.0},
            "gpu0 RTX 4090 does nothing, and its memory is held: train.ipynb 4.0 GiB",
        ),
    ],
)
def test_each_trouble_is_told_once_and_once_that_it_is_over(sick: dict[str, object], text: str) -> None:
    ill = replace(FINE, **sick)  # type: ignore[arg-type]
    said = told(every(60, FINE, *[ill] * 100, FINE, FINE))
    assert [(kind, each) for _, kind, each in said] == [("raised", text), ("cleared", text)]


def test_a_blip_of_heat_is_not_told_and_memory_at_a_mark_is_one_trouble() -> None:
    assert told(every(60, FINE, replace(FINE, throttle=("thermal",)), FINE)) == []
    high, low = (replace(FINE, memory_used_bytes=int(share * 24 * GIB)) for share in (0.96, 0.92))
    said = told(every(60, high, high, low, high, low, high, FINE))
    assert [kind for _, kind, _ in said] == ["raised", "cleared"]


def test_memory_held_for_less_than_an_hour_or_by_others_is_nobodys_business() -> None:
    assert told(every(60, *[IDLE] * 59, FINE)) == []
    strange = replace(IDLE, processes=(GpuProcess(9, 8 * GIB, 0.0, "bob", None, None, "python"),))
    assert told(every(60, *[strange] * 200)) == []
    unknown = replace(IDLE, utilisation_mean=None, utilisation_max=None)
    assert told(every(60, *[unknown] * 200)) == []


def test_an_error_names_its_notebook_and_means_something() -> None:
    failed = replace(FINE, xids=(Xid(31, 1.0, 7),))
    raised, cleared = told(every(60, FINE, failed, failed, *[FINE] * 20))
    assert raised == (
        60, "raised",
        "gpu0 RTX 4090: error Xid 31 in train.ipynb: a program reached for GPU memory that is not its own",
    )  # fmt: skip
    assert (cleared[0], cleared[1]) == (120 + xids.PROGRAM.shown_s, "cleared")


def test_errors_without_a_process_or_a_meaning() -> None:
    ((_, _, text),) = told(every(60, replace(FINE, xids=(Xid(79, 1.0),)), FINE))
    assert text == "gpu0 RTX 4090: error Xid 79: the GPU has fallen off the bus"
    ((_, _, text),) = told(every(60, replace(FINE, xids=(Xid(999, 1.0, 55),)), FINE))
    assert text == "gpu0 RTX 4090: error Xid 999 in process 55: an error of the driver that has no explanation here"


def test_a_fault_of_the_card_is_an_error_and_one_of_a_program_a_warning() -> None:
    kinds = {}
    for code in (31, 79):
        frame = Frame((replace(FINE, xids=(Xid(code, 1.0),)),), None, None)
        (found,) = gpu_health.conditions(frame, gpu_health.remember((), frame, 0.0), (), 0.0)
        kinds[code] = (found.kind.severity, found.named, found.advice)
    assert kinds == {
        31: ("warning", "gpu-xid", xids.PROGRAM.advice),
        79: ("error", "gpu-xid", xids.REBOOT.advice),
    }


def test_driver_trouble_now_and_foreseen() -> None:
    frames = [(0.0, Frame((), "no driver", "modprobe")), (10.0, Frame((FINE,), None, None, foreseen="a newer library"))]
    assert told(frames) == [
        (0.0, "raised", "no driver"),
        (10.0, "raised", "a newer library"),
        (10.0, "cleared", "no driver"),
    ]


@pytest.mark.parametrize("code", sorted(xids.XIDS))
def test_every_known_error_has_words_and_advice(code: int) -> None:
    says, group = xids.meaning(code)
    assert says == says.strip() and not says.endswith(".")
    assert group.advice and group.severity in {"warning", "error"} and group.shown_s >= 600
