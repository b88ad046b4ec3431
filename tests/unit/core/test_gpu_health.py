"""core.gpu_health through the health machine: once when it starts, once when it ends, nothing in between."""

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
        ({"remap_pending": True}, "gpu0 RTX 4090: a bad row of its memory will be replaced at the next reset"),
        (
            {"remap_pending": True, "remap_failed": True},
            "gpu0 RTX 4090: bad rows of its memory can no longer be replaced",
        ),
        ({"ecc_uncorrected": 1}, "gpu0 RTX 4090: 1 error of its memory could not be corrected"),
        ({"recovery": "reset"}, "gpu0 RTX 4090 needs a reset"),
        (
            {"utilisation_mean": 0.0, "utilisation_max": 0.0},
            "gpu0 RTX 4090 is idle, but its memory is held by train.ipynb 4.0 GiB",
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


def found(each: Gpu, *held: ActiveCondition) -> list[tuple[str, str, str, str, str]]:
    """(the kind's code, about, text, advice, the code that people see) of each condition of one GPU."""
    some = gpu_health.conditions(Frame((each,), None, None), (), held, 0.0)
    return [(one.kind.code, one.about, one.text, one.advice, one.named) for one in some]


RESET, REBOOT = xids.RESET.advice, "sudo reboot"
SLOWED = "nvidia-smi -q -d PERFORMANCE,TEMPERATURE,POWER"


@pytest.mark.parametrize(
    ("sick", "expected"),
    [
        ({}, None),
        ({"trouble": "lost", "throttle": ("thermal",)}, ("gpu", "GPU-0", ": lost", "nvidia-smi -q", "gpu")),
        (
            {"throttle": ("thermal", "power-brake", "sync"), "temperature_c": None},
            ("gpu-slowed", "GPU-0", " is slowed down by heat and the power supply", SLOWED, "gpu-slowed"),
        ),
        (
            {"throttle": ("hardware",)},
            (
                "gpu-slowed", "GPU-0", " is slowed down by its own protection (heat or power) (60 °C)",
                SLOWED, "gpu-slowed",
            ),
        ),
        ({"throttle": None}, None),
        ({"throttle": ("sync", "applications")}, None),
        (
            {"remap_pending": True},
            (
                "gpu-xid", "GPU-0 rows", ": a bad row of its memory will be replaced at the next reset",
                xids.MEMORY.advice, "gpu-memory-worn",
            ),
        ),
        (
            {"remap_failed": True},
            (
                "gpu-error", "GPU-0 rows", ": bad rows of its memory can no longer be replaced",
                xids.REPLACE.advice, "gpu-memory-worn",
            ),
        ),
        (
            {"ecc_uncorrected": 2},
            (
                "gpu-error", "GPU-0 ecc", ": 2 errors of its memory could not be corrected",
                xids.REPLACE.advice, "gpu-memory-errors",
            ),
        ),
        ({"ecc_uncorrected": None, "remap_pending": None, "remap_failed": None, "recovery": None}, None),
        ({"recovery": "reset"}, ("gpu-error", "GPU-0 recovery", " needs a reset", RESET, "gpu-recovery")),
        ({"recovery": "bus-reset"}, ("gpu-error", "GPU-0 recovery", " needs a reset", RESET, "gpu-recovery")),
        (
            {"recovery": "drain-and-reset"},
            ("gpu-error", "GPU-0 recovery", " needs a reset when its programs have ended", RESET, "gpu-recovery"),
        ),
        (
            {"recovery": "drain"},
            ("gpu-error", "GPU-0 recovery", " should get no new work", "nvidia-smi -q", "gpu-recovery"),
        ),
        (
            {"recovery": "reboot"},
            ("gpu-error", "GPU-0 recovery", " needs a reboot of the machine", REBOOT, "gpu-recovery"),
        ),
        (
            {"recovery": "system-reboot"},
            ("gpu-error", "GPU-0 recovery", " needs a reboot of the machine", REBOOT, "gpu-recovery"),
        ),
        (
            {"recovery": "imex"},
            (
                "gpu-error", "GPU-0 recovery", " needs its memory domain (IMEX) restarted",
                "sudo systemctl restart nvidia-imex", "gpu-recovery",
            ),
        ),
        (
            {"utilisation_mean": 0.0, "utilisation_max": 0.0},
            (
                "gpu-memory-held", "GPU-0", " is idle, but its memory is held by train.ipynb 4.0 GiB",
                "shut that kernel down if its variables are no longer needed: jupyterd gpu", "gpu-memory-held",
            ),
        ),
    ],
    ids=str,
)  # fmt: skip
def test_each_trouble_has_its_text_its_advice_and_its_code(sick, expected) -> None:
    wanted = [] if expected is None else [(*expected[:2], f"gpu0 RTX 4090{expected[2]}", *expected[3:])]
    assert found(replace(FINE, **sick)) == wanted


def held_by(*processes: GpuProcess) -> Gpu:
    return replace(IDLE, processes=processes)


OURS = GpuProcess(7, GIB, 0.0, "ada", "k-1", "/home/ada/train.ipynb", "python")


@pytest.mark.parametrize(
    ("gpu", "named"),
    [
        (held_by(OURS), "train.ipynb 1.0 GiB"),
        (held_by(replace(OURS, memory_bytes=GIB - 1)), None),
        (held_by(replace(OURS, memory_bytes=None)), None),
        (held_by(replace(OURS, kernel=None, notebook=None)), None),
        (
            held_by(OURS, GpuProcess(9, 8 * GIB, 0.0, "bob", None, None, "python")),
            "train.ipynb 1.0 GiB",
        ),
        (replace(held_by(OURS), utilisation_mean=5.0), None),
    ],
)  # fmt: skip
def test_a_kernel_that_holds_a_gibibyte_of_an_idle_gpu_is_named(gpu: Gpu, named: str | None) -> None:
    texts = [text for code, _, text, _, _ in found(gpu) if code == "gpu-memory-held"]
    assert texts == ([] if named is None else [f"gpu0 RTX 4090 is idle, but its memory is held by {named}"])


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ((0.94, 0.94, 0.94), []),
        ((0.95, 0.95), [("raised", 1)]),
        ((0.96,), []),
        ((0.96, 0.96, 0.92, 0.92, 0.92), [("raised", 1)]),
        ((0.96, 0.96, 0.90, 0.89), [("raised", 1), ("cleared", 3)]),
        ((0.96, 0.96, 0.92, 0.96, 0.96, 0.5), [("raised", 1), ("cleared", 5)]),
        ((0.96, 0.96, 0.89, 0.92, 0.94, 0.94), [("raised", 1), ("cleared", 2)]),
        ((0.96, 0.96, 0.89, 0.96, 0.96), [("raised", 1), ("cleared", 2), ("raised", 4)]),
    ],
    ids=str,
)
def test_memory_is_nearly_full_from_95_per_cent_until_it_is_below_90(shares, expected) -> None:
    """A frame a minute, (what is told, at which frame)."""
    total = 1000 * GIB
    frames = [replace(FINE, memory_used_bytes=int(share * 1000) * GIB, memory_total_bytes=total) for share in shares]
    assert [(kind, now // 60) for now, kind, _ in told(every(60, *frames))] == expected


def test_one_full_gpu_does_not_make_another_full() -> None:
    def pair(first: float, second: float) -> Frame:
        uuids = (("GPU-0", first), ("GPU-1", second))
        return Frame(
            tuple(
                replace(FINE, uuid=uuid, memory_used_bytes=int(share * 1000) * GIB, memory_total_bytes=1000 * GIB)
                for uuid, share in uuids
            ),
            None,
            None,
        )

    said = told([(0.0, pair(0.97, 0.92)), (60.0, pair(0.97, 0.92)), (120.0, pair(0.92, 0.92))])
    assert [(now, kind) for now, kind, _ in said] == [(60.0, "raised")]


@pytest.mark.parametrize(
    ("used", "total", "processes", "text"),
    [
        (None, 24 * GIB, None, None),
        (23 * GIB, None, None, None),
        (0, 0, None, None),
        (24 * GIB, 24 * GIB, None, "its memory is nearly full (0 MiB left)"),
        (23 * GIB, 24 * GIB, (OURS,), "its memory is nearly full (1.0 GiB left; held by train.ipynb 1.0 GiB)"),
    ],
)
def test_what_is_said_of_full_memory(used, total, processes, text) -> None:
    gpu = replace(FINE, memory_used_bytes=used, memory_total_bytes=total, processes=processes)
    advice = "shut down a kernel that is no longer needed: jupyterd gpu"
    whole = ("gpu-memory-full", "GPU-0", f"gpu0 RTX 4090: {text}", advice, "gpu-memory-full")
    assert found(gpu) == ([] if text is None else [whole])


def test_the_driver_s_own_trouble() -> None:
    def of(frame: Frame):
        return [(one.kind.code, one.about, one.text, one.advice) for one in gpu_health.conditions(frame, (), (), 0.0)]

    assert of(Frame((), "no driver", "modprobe nvidia")) == [("gpu", "driver", "no driver", "modprobe nvidia")]
    assert of(Frame((), "no driver", None)) == [("gpu", "driver", "no driver", "nvidia-smi")]
    assert of(Frame((), None, None, foreseen="a newer library")) == [
        ("gpu-driver-changed", "driver", "a newer library", "reboot when convenient: sudo reboot")
    ]


def test_an_error_is_shown_for_its_time_and_longer_when_it_comes_again() -> None:
    first, again = replace(FINE, xids=(Xid(31, 1.0, 7),)), replace(FINE, xids=(Xid(31, 2.0, None),))
    one = gpu_health.remember((), Frame((first,), None, None), 100.0)
    (error,) = one
    shown_s = xids.PROGRAM.shown_s
    assert (error.uuid, error.code, error.until) == ("GPU-0", 31, 100.0 + shown_s)
    (longer,) = gpu_health.remember(one, Frame((again,), None, None), 200.0)
    assert longer == replace(error, until=200.0 + shown_s), "the same error, told longer"
    nothing = Frame((), None, None)
    assert gpu_health.remember(one, nothing, 99.9 + shown_s) == one
    assert gpu_health.remember(one, nothing, 100.0 + shown_s) == ()
    two = gpu_health.remember(one, Frame((replace(FINE, xids=(Xid(79, 1.0),)),), None, None), 200.0)
    assert [each.code for each in two] == [31, 79]
    other = gpu_health.remember(one, Frame((replace(again, uuid="GPU-1", index=1),), None, None), 200.0)
    assert [each.uuid for each in other] == ["GPU-0", "GPU-1"]


def test_an_error_that_is_over_is_no_condition() -> None:
    errors = gpu_health.remember((), Frame((replace(FINE, xids=(Xid(79, 1.0),)),), None, None), 0.0)
    frame = Frame((FINE,), None, None)
    (shown,) = gpu_health.conditions(frame, errors, (), xids.REBOOT.shown_s - 0.1)
    assert (shown.kind.code, shown.about, shown.named, shown.advice) == (
        "gpu-error", "GPU-0 79", "gpu-xid", xids.REBOOT.advice,
    )  # fmt: skip
    assert list(gpu_health.conditions(frame, errors, (), xids.REBOOT.shown_s)) == []
