"""What the sampler makes of every kind of driver, in virtual time, through the real pynvml."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import fake_nvml
from support.fake_nvml import gpu

from jupyterd.protocol.gpu_frames import Gpu
from jupyterd.protocol.gpu_text import line

from .conftest import Driver, Stepper

OLD = (
    "nvmlDeviceGetMemoryInfo_v2",
    "nvmlDeviceGetTemperatureV",
    "nvmlDeviceGetTotalEnergyConsumption",
    "nvmlDeviceGetSamples",
    "nvmlDeviceGetCurrentClocksEventReasons",
)
"""What drivers of some years ago have not."""
FIGURES = ("utilisation_mean", "utilisation_max", "memory_used_bytes", "memory_total_bytes", "temperature_c", "power_w")


def figures(each: Gpu) -> tuple[float | None, ...]:
    return tuple(getattr(each, name) for name in FIGURES)


@pytest.mark.parametrize("count", [1, 2, 8])
def test_every_gpu_is_in_the_frame(driver: Driver, stepper: Stepper, count: int) -> None:
    driver.has(*(gpu(index) for index in range(count)))
    frame = stepper.beat(0)
    assert frame.trouble is None
    assert [each.index for each in frame.gpus] == list(range(count))
    assert len({each.uuid for each in frame.gpus}) == count
    assert line(frame.gpus[0]) == "gpu0 RTX 4090: 90 % (peak 100), 10.0 of 24 GiB, 71 °C, 310 W"


def test_no_gpu_is_told_and_asked_again_later(driver: Driver, stepper: Stepper) -> None:
    driver.has()
    frame = stepper.beat(0)
    assert frame.gpus == ()
    assert frame.trouble == "the NVIDIA driver finds no GPU"
    assert frame.advice
    assert stepper.again_at == 60
    driver.has(gpu(0))
    assert stepper.beat(59).trouble == frame.trouble
    assert len(stepper.beat(60).gpus) == 1
    assert stepper.again_at is None


def test_no_peak_between_two_beats_is_missed(driver: Driver, stepper: Stepper) -> None:
    driver.has(gpu(0, samples="0 0 0 100", samples_end=1_000_000))
    assert figures(stepper.beat(0).gpus[0])[:2] == (25.0, 100.0)
    driver.has(gpu(0, samples="100 10 20", samples_end=1_000_000 + 2 * 166_667))  # the first was told already
    assert figures(stepper.beat(10).gpus[0])[:2] == (15.0, 20.0)


def test_an_idle_gpu_has_no_samples_and_is_at_zero(driver: Driver, stepper: Stepper) -> None:
    driver.has(gpu(0, samples=None, utilisation=0))
    assert figures(stepper.beat(0).gpus[0])[:2] == (0.0, 0.0)


def test_power_is_the_mean_of_the_energy_between_two_beats(driver: Driver, stepper: Stepper) -> None:
    driver.has(gpu(0, energy_mj=1_000_000, power_mw=50_000))
    assert stepper.beat(0).gpus[0].power_w == 50.0
    driver.has(gpu(0, energy_mj=3_000_000, power_mw=50_000))
    assert stepper.beat(10).gpus[0].power_w == 200.0
    driver.has(gpu(0, energy_mj=5_000, power_mw=60_000))  # the driver was loaded again
    assert stepper.beat(20).gpus[0].power_w == 60.0
    driver.has(gpu(0, energy_mj=5_000, power_mw=61_000))  # a counter that stands still is none
    assert stepper.beat(30).gpus[0].power_w == 61.0


def test_an_old_driver_is_asked_in_its_own_words(driver: Driver, stepper: Stepper) -> None:
    driver.has(gpu(0, throttle=0x20) | {f"gpu0.error.{name}": 13 for name in OLD})
    each = stepper.beat(0).gpus[0]
    assert figures(each) == (90, 90, 10 * 1024**3, 24564 * 1024**2, 71, 310.2)
    assert each.throttle == ("thermal",)
    assert each.energy_j is None
    assert "nvmlDeviceGetMemoryInfo_v2 0" in driver.calls()
    stepper.beat(10)
    assert set(driver.calls()) == {
        "nvmlDeviceGetUtilizationRates 0",
        "nvmlDeviceGetMemoryInfo 0",
        "nvmlDeviceGetPowerUsage 0",
        "nvmlEventSetWait_v2",
    }
    stepper.beat(60)
    assert not {each.split()[0] for each in driver.calls()} & set(OLD)


def test_missing_symbols_are_an_old_driver_too(tmp_path: Path, driver: Driver, stepper: Stepper) -> None:
    missing = ["nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetTemperatureV", "nvmlDeviceGetSamples"]
    fake_nvml.build(tmp_path / "old", without=missing).replace(driver.directory / "libnvidia-ml.so.1")
    driver.has(gpu(0))
    assert figures(stepper.beat(0).gpus[0]) == (90, 90, 10 * 1024**3, 24564 * 1024**2, 71, 310.2)


def test_what_a_device_never_tells_is_none_and_no_trouble(driver: Driver, stepper: Stepper) -> None:
    driver.has({"gpu0.uuid": "GPU-0", "gpu0.name": "NVIDIA GRID"})
    each = stepper.beat(0).gpus[0]
    assert figures(each) == (None,) * 6
    assert each.trouble is None
    driver.calls()
    stepper.beat(10)
    # the sample buffer said "nothing yet", which is not "never"
    assert driver.calls() == ["nvmlDeviceGetSamples 0", "nvmlEventSetWait_v2"]
    stepper.beat(60)
    assert [each for each in driver.calls() if each.endswith(" 0")] == [
        "nvmlDeviceGetSamples 0",
        "nvmlDeviceGetComputeRunningProcesses_v3 0",
        "nvmlDeviceGetGraphicsRunningProcesses_v3 0",
    ]


def test_a_device_that_fails_today_is_asked_tomorrow(driver: Driver, stepper: Stepper) -> None:
    driver.has(gpu(0), error__nvmlDeviceGetTemperatureV=999, error__nvmlDeviceGetTemperature=999)
    each = stepper.beat(0).gpus[0]
    assert each.temperature_c is None
    assert each.trouble is None
    driver.has(gpu(0))
    assert stepper.beat(10).gpus[0].temperature_c is None
    assert stepper.beat(60).gpus[0].temperature_c == 71


def test_a_device_that_answers_nothing_is_in_trouble(driver: Driver, stepper: Stepper) -> None:
    driver.has(gpu(0), gpu(1))
    assert stepper.beat(0).gpus[0].trouble is None
    driver.has({**gpu(0), "gpu0.error": 999}, gpu(1))
    failing, healthy = stepper.beat(10).gpus
    assert "999" in str(failing.trouble)
    assert figures(failing) == (None,) * 6
    assert healthy.trouble is None


@pytest.mark.parametrize(("code", "word"), [(15, "lost"), (16, "reset")])
def test_a_lost_gpu_is_told_by_name_and_the_others_go_on(
    driver: Driver, stepper: Stepper, code: int, word: str
) -> None:
    driver.has(gpu(0), gpu(1))
    before = stepper.beat(0)
    driver.has(gpu(0) | {"gpu0.error": code}, gpu(1))
    for now in (10, 30, 69):
        lost, other = stepper.beat(now).gpus
        assert word in str(lost.trouble)
        assert (lost.uuid, lost.name) == (before.gpus[0].uuid, before.gpus[0].name)
        assert figures(lost) == (None,) * 6
        assert other.temperature_c == 71
    driver.calls()
    lost, other = stepper.beat(71).gpus  # NVML is opened again: its handle fails now, its name is remembered
    assert "nvmlInitWithFlags" in driver.calls()
    assert word in str(lost.trouble)
    assert (lost.uuid, lost.name) == (before.gpus[0].uuid, before.gpus[0].name)
    driver.has(gpu(0), gpu(1))
    assert stepper.again_at == 71 + 120
    assert [each.trouble for each in stepper.beat(200).gpus] == [None, None]
    assert stepper.again_at is None


def test_when_all_are_lost_the_devices_are_given_back(driver: Driver, stepper: Stepper) -> None:
    driver.has(gpu(0))
    stepper.beat(0)
    driver.has(gpu(0) | {"gpu0.error": 16})
    driver.calls()
    assert "reset" in str(stepper.beat(10).gpus[0].trouble)
    assert driver.calls()[-1] == "nvmlShutdown"
    assert "reset" in str(stepper.beat(20).gpus[0].trouble)
    assert driver.calls() == []
    driver.has(gpu(0))
    assert stepper.beat(71).gpus[0].trouble is None


def test_a_gpu_that_vanishes_is_missed(driver: Driver, stepper: Stepper) -> None:
    driver.has(gpu(0), gpu(1))
    before = stepper.beat(0).gpus
    driver.has(gpu(0) | {"gpu0.error": 15}, gpu(1))
    stepper.beat(10)
    driver.has(gpu(0, uuid=before[1].uuid))  # only the second one is left, and counts as the first now
    left, missed = stepper.beat(100).gpus
    assert (left.uuid, left.trouble) == (before[1].uuid, None)
    assert missed.uuid == before[0].uuid
    assert "does not see" in str(missed.trouble)


@pytest.mark.parametrize(
    ("code", "word", "again_s"),
    [
        (9, "not loaded", 10),
        (18, "different versions", 600),
        (13, "too old", 600),
        (4, "may not use", 60),
        (15, "lost GPU", 60),
        (999, "does not answer", 10),
    ],
)
def test_a_driver_that_does_not_start(driver: Driver, stepper: Stepper, code: int, word: str, again_s: float) -> None:
    driver.has(gpu(0), error__nvmlInitWithFlags=code)
    frame = stepper.beat(0)
    assert frame.gpus == ()
    assert word in str(frame.trouble)
    assert frame.advice
    assert stepper.again_at == again_s
    assert stepper.fresh == (code in {13, 18})
    driver.calls()
    later = stepper.beat(again_s - 1)
    assert (later.trouble, later.advice, later.at) == (frame.trouble, frame.advice, frame.at + again_s - 1)
    assert driver.calls() == []
    assert stepper.beat(again_s).trouble == frame.trouble
    driver.has(gpu(0))
    assert stepper.again_at is not None
    assert stepper.beat(stepper.again_at).trouble is None
    assert not stepper.fresh


def test_patience_grows_to_its_bound_and_is_new_after_recovery(driver: Driver, stepper: Stepper) -> None:
    driver.has(gpu(0), error__nvmlInitWithFlags=9)
    now, waits = 0.0, []
    for _ in range(7):
        stepper.beat(now)
        assert stepper.again_at is not None
        waits.append(stepper.again_at - now)
        now = stepper.again_at
    assert waits == [10, 20, 40, 80, 160, 300, 300]
    driver.has(gpu(0))
    assert stepper.beat(now).trouble is None
    driver.has(gpu(0), error__nvmlDeviceGetMemoryInfo_v2=9)
    assert "not loaded" in str(stepper.beat(now + 10).trouble)
    assert stepper.again_at == now + 20


def test_a_driver_unloaded_under_way_and_loaded_again(driver: Driver, stepper: Stepper) -> None:
    driver.has(gpu(0))
    stepper.beat(0)
    driver.has(gpu(0), error__nvmlDeviceGetSamples=1, error__nvmlInitWithFlags=9)
    assert stepper.beat(10).trouble is not None
    assert "not loaded" in str(stepper.beat(20).trouble)
    driver.has(gpu(0))
    assert stepper.beat(100).gpus[0].temperature_c == 71


def test_no_library_quotes_the_loader_and_waits_long(driver: Driver, stepper: Stepper) -> None:
    (driver.directory / "libnvidia-ml.so.1").unlink()
    frame = stepper.beat(0)
    assert "cannot open shared object file" in str(frame.trouble)
    assert stepper.again_at == 60


def test_a_library_that_is_none_and_is_put_right(library: Path, driver: Driver, stepper: Stepper) -> None:
    here = driver.directory / "libnvidia-ml.so.1"
    here.unlink()
    here.write_text("garbage", "ascii")
    assert "cannot be loaded" in str(stepper.beat(0).trouble)
    here.unlink()
    here.hardlink_to(library)
    driver.has(gpu(0))
    assert stepper.beat(60).trouble is None


def test_garbage_is_unknown_and_never_a_figure(driver: Driver, stepper: Stepper) -> None:
    driver.has(
        gpu(
            0,
            name=b"\xff\xfe broken",
            samples="4000000000 101",
            utilisation=4294967295,
            memory_used=100,
            memory_total=10,
            temperature=-1,
            power_mw=4294967295,
            energy_mj=None,
        )
    )
    each = stepper.beat(0).gpus[0]
    assert figures(each) == (None,) * 6
    assert "makes no sense" in str(each.trouble)
    assert each.name == ""


def test_part_garbage_is_left_out(driver: Driver, stepper: Stepper) -> None:
    driver.has(gpu(0, samples="10 4000000000 30", memory_total=0, memory_used=0))
    each = stepper.beat(0).gpus[0]
    assert figures(each)[:4] == (20, 30, None, None)
    assert each.trouble is None


def test_control_characters_do_not_reach_the_journal(driver: Driver, stepper: Stepper) -> None:
    driver.has(gpu(0, name=b"RTX\x1b[31m\x07 5090"))
    assert stepper.beat(0).gpus[0].name == "RTX[31m 5090"


def test_a_device_without_a_uuid_keeps_apart_from_its_neighbour(driver: Driver, stepper: Stepper) -> None:
    driver.has(gpu(0, uuid=None), gpu(1, uuid=None))
    assert [each.uuid for each in stepper.beat(0).gpus] == ["gpu0", "gpu1"]


def _sleeps(driver: Driver, address: str, status: str) -> None:
    device = driver.root / "sys/bus/pci/devices" / address
    (device / "power").mkdir(parents=True, exist_ok=True)
    for name, text in (("vendor", "0x10de"), ("class", "0x030200"), ("power/runtime_status", status)):
        (device / name).write_text(f"{text}\n", "ascii")


def test_a_sleeping_laptop_is_not_woken_at_the_start(driver: Driver, stepper: Stepper) -> None:
    driver.has(gpu(0))
    _sleeps(driver, "0000:01:00.0", "suspended")
    frame = stepper.beat(0)
    assert (frame.gpus, frame.trouble) == ((), None)
    assert driver.calls() == []
    _sleeps(driver, "0000:01:00.0", "active")
    assert stepper.beat(10).gpus[0].temperature_c == 71


def test_a_gpu_that_falls_asleep_is_left_alone_while_its_neighbour_is_asked(driver: Driver, stepper: Stepper) -> None:
    driver.has(gpu(0), gpu(1))
    _sleeps(driver, "0000:01:00.0", "active")
    _sleeps(driver, "0000:02:00.0", "active")
    stepper.beat(0)
    _sleeps(driver, "0000:01:00.0", "suspended")
    driver.calls()
    sleeping, awake = stepper.beat(10).gpus
    assert (sleeping.asleep, sleeping.trouble, figures(sleeping)) == (True, None, (None,) * 6)
    assert awake.temperature_c == 71
    assert {each for each in driver.calls() if each.endswith(" 0")} == set()
