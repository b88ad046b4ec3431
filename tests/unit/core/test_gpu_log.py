"""core.gpu: samples into one figure, the line for people, the journal's fields."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jupyterd.core.gpu_log import aggregate, fields
from jupyterd.protocol.gpu_frames import Gpu, GpuProcess, Xid
from jupyterd.protocol.gpu_text import line, title

FULL = Gpu(
    index=0,
    uuid="GPU-1",
    name="NVIDIA GeForce RTX 4090",
    utilisation_mean=87.4,
    utilisation_max=100.0,
    memory_used_bytes=int(18.2 * 1024**3),
    memory_total_bytes=24564 * 1024**2,
    temperature_c=71,
    power_w=310.2,
    trouble=None,
)
NOTHING = Gpu(1, "", "", None, None, None, None, None, None, None)


def test_line_reads_like_a_sentence() -> None:
    assert line(FULL) == "gpu0 RTX 4090: 87 % (peak 100), 18.2 of 24 GiB, 71 °C, 310 W"


@pytest.mark.parametrize(
    ("gpu", "expected"),
    [
        (replace(FULL, utilisation_max=None), "gpu0 RTX 4090: 87 %, 18.2 of 24 GiB, 71 °C, 310 W"),
        (replace(FULL, utilisation_mean=None, utilisation_max=None), "gpu0 RTX 4090: 18.2 of 24 GiB, 71 °C, 310 W"),
        (replace(FULL, memory_total_bytes=None), "gpu0 RTX 4090: 87 % (peak 100), 18.2 GiB, 71 °C, 310 W"),
        (replace(FULL, memory_used_bytes=None), "gpu0 RTX 4090: 87 % (peak 100), 71 °C, 310 W"),
        (
            replace(FULL, memory_used_bytes=0, power_w=0.0),
            "gpu0 RTX 4090: 87 % (peak 100), 0.0 of 24 GiB, 71 °C, 0 W",
        ),
        (
            replace(FULL, memory_total_bytes=81559 * 1024**2),
            "gpu0 RTX 4090: 87 % (peak 100), 18.2 of 79.6 GiB, 71 °C, 310 W",
        ),
        (NOTHING, "gpu1: no figures"),
        (replace(NOTHING, name="NVIDIA H200", asleep=True), "gpu1 H200: asleep"),
        (replace(NOTHING, name="Tesla T4", trouble="it is lost"), "gpu1 Tesla T4: it is lost"),
    ],
)
def test_line_leaves_out_what_is_unknown(gpu: Gpu, expected: str) -> None:
    assert line(gpu) == expected


def test_title_keeps_what_tells_models_apart() -> None:
    assert title(replace(FULL, name="Quadro RTX 6000")) == "gpu0 Quadro RTX 6000"
    assert title(replace(FULL, name="NVIDIA RTX 6000 Ada Generation")) == "gpu0 RTX 6000 Ada Generation"


def test_fields_have_units_of_their_own_and_no_blanks() -> None:
    assert dict(fields(FULL)) == {
        "GPU_INDEX": "0",
        "GPU_UUID": "GPU-1",
        "GPU_UTIL_MEAN": "87.4",
        "GPU_UTIL_MAX": "100.0",
        "GPU_MEMORY_USED": str(int(18.2 * 1024**3)),
        "GPU_MEMORY_TOTAL": str(24564 * 1024**2),
        "GPU_TEMPERATURE": "71",
        "GPU_POWER": "310.2",
    }
    assert fields(NOTHING) == (("GPU_INDEX", "1"),)


def test_zero_is_a_figure_and_not_unknown() -> None:
    idle = replace(FULL, utilisation_mean=0.0, utilisation_max=0.0, temperature_c=0)
    assert dict(fields(idle))["GPU_UTIL_MEAN"] == "0.0"
    assert dict(fields(idle))["GPU_TEMPERATURE"] == "0"
    assert "0 % (peak 0)" in line(idle)


def test_aggregate_means_peaks_and_levels() -> None:
    samples = [
        replace(
            FULL, utilisation_mean=10.0, utilisation_max=95.0, power_w=100.0, memory_used_bytes=1, temperature_c=50
        ),
        replace(
            FULL, utilisation_mean=30.0, utilisation_max=40.0, power_w=200.0, memory_used_bytes=2, temperature_c=60
        ),
    ]
    one = aggregate(samples)
    assert (one.utilisation_mean, one.utilisation_max, one.power_w) == (20.0, 95.0, 150.0)
    assert (one.memory_used_bytes, one.temperature_c) == (2, 60)


def test_a_failed_sample_does_not_look_like_an_idle_gpu() -> None:
    one = aggregate([replace(FULL, utilisation_mean=80.0), replace(NOTHING, index=0, uuid="GPU-1", name=FULL.name)])
    assert one.utilisation_mean == 80.0
    assert one.memory_used_bytes == FULL.memory_used_bytes


def test_nothing_known_stays_unknown() -> None:
    assert aggregate([NOTHING, NOTHING]) == NOTHING


def test_trouble_and_sleep_are_the_last_ones() -> None:
    assert aggregate([replace(FULL, trouble="it is lost"), FULL]).trouble is None
    assert aggregate([FULL, replace(NOTHING, trouble="it is lost")]).trouble == "it is lost"
    assert aggregate([FULL, replace(NOTHING, asleep=True)]).asleep


def test_no_samples_is_an_error() -> None:
    with pytest.raises(ValueError, match="no samples"):
        aggregate([])


def test_every_field_of_the_journal() -> None:
    full = replace(
        FULL, utilisation_p95=99.04, energy_j=1234.56, clock_sm_mhz=2520, throttle=("power-cap", "thermal"),
        processes=(process("/b.ipynb"), process("/a.ipynb"), process("/b.ipynb"), process(None)),
    )  # fmt: skip
    assert fields(full) == (
        ("GPU_INDEX", "0"),
        ("GPU_UUID", "GPU-1"),
        ("GPU_UTIL_MEAN", "87.4"),
        ("GPU_UTIL_MAX", "100.0"),
        ("GPU_MEMORY_USED", str(int(18.2 * 1024**3))),
        ("GPU_MEMORY_TOTAL", str(24564 * 1024**2)),
        ("GPU_TEMPERATURE", "71"),
        ("GPU_POWER", "310.2"),
        ("GPU_UTIL_P95", "99.0"),
        ("GPU_ENERGY", "1234.6"),
        ("GPU_CLOCK_SM", "2520"),
        ("GPU_THROTTLE", "power-cap"),
        ("GPU_THROTTLE", "thermal"),
        ("GPU_NOTEBOOK", "/a.ipynb"),
        ("GPU_NOTEBOOK", "/b.ipynb"),
    )


def process(notebook: str | None) -> GpuProcess:
    return GpuProcess(1, None, None, "ada", "k", notebook, "python")


def test_what_is_said_instead_of_the_utilisation_and_beside_trouble() -> None:
    assert line(FULL, "idle for 15 min") == "gpu0 RTX 4090: idle for 15 min, 18.2 of 24 GiB, 71 °C, 310 W"
    assert line(replace(FULL, trouble="it is lost")).startswith("gpu0 RTX 4090: it is lost, 87 % (peak 100), 18.2")
    assert line(replace(NOTHING, trouble="it is lost", asleep=True)) == "gpu1: it is lost"
    assert line(replace(NOTHING, temperature_c=0)) == "gpu1: 0 °C"


def test_one_figure_out_of_many() -> None:
    first, second, third = (
        replace(
            FULL, utilisation_mean=mean, utilisation_max=peak, utilisation_p95=p95, memory_used_bytes=used,
            memory_total_bytes=total, temperature_c=warm, power_w=power, energy_j=energy, xids=(Xid(code, 1.0),),
            processes=held, throttle=(str(code),),
        )
        for mean, peak, p95, used, total, warm, power, energy, code, held in (
            (10.0, 20.0, 19.0, 1, 8, 50, 100.0, 5.0, 1, (process("/a.ipynb"),)),
            (20.0, 90.0, 80.0, 2, 9, 60, 200.0, 7.0, 2, (process("/b.ipynb"),)),
            (None, None, None, None, None, None, None, None, 3, None),
        )
    )  # fmt: skip
    one = aggregate([first, second, third])
    assert one == replace(
        third, utilisation_mean=15.0, utilisation_max=90.0, utilisation_p95=80.0, memory_used_bytes=2,
        memory_total_bytes=9, temperature_c=60, power_w=150.0, energy_j=12.0,
        xids=(Xid(1, 1.0), Xid(2, 1.0), Xid(3, 1.0)), processes=(process("/b.ipynb"),),
    )  # fmt: skip
    assert one.throttle == ("3",)
