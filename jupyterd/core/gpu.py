"""What the supervisor makes of GPU frames: one figure out of many samples, the line for people, the fields.

Pure functions over wire.frames.Gpu. It does not know NVML; that is jupyterd.gpu, in a process of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from jupyterd.wire.frames import Gpu

_GIB = 1024**3


def aggregate(gpus: Sequence[Gpu]) -> Gpu:
    """Many samples of one GPU, oldest first, as one: mean of means, highest peak, mean power, last level.

    Memory and temperature are levels: the last one known counts. Identity, trouble and sleep are those of the
    last sample. ValueError when there is none.
    """
    if not gpus:
        raise ValueError("no samples to aggregate")
    return replace(
        gpus[-1],
        utilisation_mean=_mean([gpu.utilisation_mean for gpu in gpus]),
        utilisation_max=max((gpu.utilisation_max for gpu in gpus if gpu.utilisation_max is not None), default=None),
        memory_used_bytes=_last([gpu.memory_used_bytes for gpu in gpus]),
        memory_total_bytes=_last([gpu.memory_total_bytes for gpu in gpus]),
        temperature_c=_last([gpu.temperature_c for gpu in gpus]),
        power_w=_mean([gpu.power_w for gpu in gpus]),
    )


def line(gpu: Gpu) -> str:
    """What a person reads: "gpu0 RTX 4090: 87 % (peak 100), 18.2 of 24 GiB, 71 °C, 310 W"."""
    parts = [part for part in (_utilisation(gpu), _memory(gpu), _temperature(gpu), _power(gpu)) if part]
    if gpu.trouble:
        parts.insert(0, gpu.trouble)
    if not parts:
        parts = ["asleep" if gpu.asleep else "no figures"]
    return f"{title(gpu)}: {', '.join(parts)}"


def title(gpu: Gpu) -> str:
    """How a GPU is called in sentences: "gpu0 RTX 4090"; the maker's name and the brand for games say nothing."""
    name = gpu.name.removeprefix("NVIDIA ").removeprefix("GeForce ").strip()
    return f"gpu{gpu.index} {name}" if name else f"gpu{gpu.index}"


def fields(gpu: Gpu) -> tuple[tuple[str, str], ...]:
    """Journal fields in per cent, bytes, degrees Celsius and watts. What is unknown has no field."""
    every = (
        ("GPU_INDEX", str(gpu.index)),
        ("GPU_UUID", gpu.uuid or None),
        ("GPU_UTIL_MEAN", _decimal(gpu.utilisation_mean)),
        ("GPU_UTIL_MAX", _decimal(gpu.utilisation_max)),
        ("GPU_MEMORY_USED", _whole(gpu.memory_used_bytes)),
        ("GPU_MEMORY_TOTAL", _whole(gpu.memory_total_bytes)),
        ("GPU_TEMPERATURE", _whole(gpu.temperature_c)),
        ("GPU_POWER", _decimal(gpu.power_w)),
    )
    return tuple((name, value) for name, value in every if value is not None)


def _utilisation(gpu: Gpu) -> str:
    if gpu.utilisation_mean is None:
        return ""
    peak = gpu.utilisation_max
    mean = f"{gpu.utilisation_mean:.0f} %"
    return mean if peak is None else f"{mean} (peak {peak:.0f})"


def _memory(gpu: Gpu) -> str:
    if gpu.memory_used_bytes is None:
        return ""
    used = f"{gpu.memory_used_bytes / _GIB:.1f}"
    if gpu.memory_total_bytes is None:
        return f"{used} GiB"
    total = f"{gpu.memory_total_bytes / _GIB:.1f}".removesuffix(".0")
    return f"{used} of {total} GiB"


def _temperature(gpu: Gpu) -> str:
    return "" if gpu.temperature_c is None else f"{gpu.temperature_c} °C"


def _power(gpu: Gpu) -> str:
    return "" if gpu.power_w is None else f"{gpu.power_w:.0f} W"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _last(values: Sequence[int | None]) -> int | None:
    return next((value for value in reversed(values) if value is not None), None)


def _decimal(value: float | None) -> str | None:
    return None if value is None else f"{value:.1f}"


def _whole(value: int | None) -> str | None:
    return None if value is None else str(value)
