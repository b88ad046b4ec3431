"""What the supervisor makes of GPU frames: one figure out of many samples, the line for people, the fields.

Pure functions over wire.frames.Gpu. It does not know NVML; that is jupyterd.gpu, in a process of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from jupyterd.core.holders import holders, named
from jupyterd.protocol.gpu_frames import Gpu
from jupyterd.text import share


def aggregate(gpus: Sequence[Gpu]) -> Gpu:
    """Many samples of one GPU, oldest first, as one: mean of means, highest peak, mean power, last level.

    Memory and temperature are levels: the last one known counts. Identity, trouble, sleep and what is asked seldom
    are those of the last sample; the p95 is the highest one. ValueError when there is none.
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
        utilisation_p95=max((gpu.utilisation_p95 for gpu in gpus if gpu.utilisation_p95 is not None), default=None),
        energy_j=_total([gpu.energy_j for gpu in gpus]),
        xids=tuple(xid for gpu in gpus for xid in gpu.xids),
        processes=next((gpu.processes for gpu in reversed(gpus) if gpu.processes is not None), None),
    )


def line(gpu: Gpu, doing: str | None = None) -> str:
    """What a person reads: "gpu0 RTX 4090: 87 % (peak 100), 18.2 of 24 GiB, 71 °C, 310 W, train.ipynb 16.9 GiB".

    `doing` is said instead of the utilisation: "idle for 15 min".
    """
    use = _utilisation(gpu) if doing is None else doing
    held = named(holders(gpu.processes))
    parts = [part for part in (use, _memory(gpu), _temperature(gpu), _power(gpu), held) if part]
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
    """Journal fields in per cent, bytes, degrees Celsius, watts and joules. What is unknown has no field; GPU_NOTEBOOK
    and GPU_THROTTLE come once for each.
    """
    every = (
        ("GPU_INDEX", str(gpu.index)),
        ("GPU_UUID", gpu.uuid or None),
        ("GPU_UTIL_MEAN", _decimal(gpu.utilisation_mean)),
        ("GPU_UTIL_MAX", _decimal(gpu.utilisation_max)),
        ("GPU_MEMORY_USED", _whole(gpu.memory_used_bytes)),
        ("GPU_MEMORY_TOTAL", _whole(gpu.memory_total_bytes)),
        ("GPU_TEMPERATURE", _whole(gpu.temperature_c)),
        ("GPU_POWER", _decimal(gpu.power_w)),
        ("GPU_UTIL_P95", _decimal(gpu.utilisation_p95)),
        ("GPU_ENERGY", _decimal(gpu.energy_j)),
        ("GPU_CLOCK_SM", _whole(gpu.clock_sm_mhz)),
        *(("GPU_THROTTLE", each) for each in gpu.throttle or ()),
        *(("GPU_NOTEBOOK", each) for each in sorted({one.notebook for one in gpu.processes or () if one.notebook})),
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
    return share(gpu.memory_used_bytes, gpu.memory_total_bytes)


def _temperature(gpu: Gpu) -> str:
    return "" if gpu.temperature_c is None else f"{gpu.temperature_c} °C"


def _power(gpu: Gpu) -> str:
    return "" if gpu.power_w is None else f"{gpu.power_w:.0f} W"


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _total(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) if known else None


def _last(values: Sequence[int | None]) -> int | None:
    return next((value for value in reversed(values) if value is not None), None)


def _decimal(value: float | None) -> str | None:
    return None if value is None else f"{value:.1f}"


def _whole(value: int | None) -> str | None:
    return None if value is None else str(value)
