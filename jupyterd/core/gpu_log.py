"""GPUs in the journal: samples aggregated into one line with its fields, and which GPU is due for a line.

One line per interval while a GPU works, one per quarter of an hour while it does not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from jupyterd.protocol import gpu_text
from jupyterd.protocol.gpu_frames import Gpu
from jupyterd.protocol.gpu_text import holders
from jupyterd.protocol.policy import Policy
from jupyterd.protocol.value import value
from jupyterd.text import span

IDLE_MEAN = 1.0
IDLE_PEAK = 5.0
"""Utilisation in per cent that counts as idle: a desktop that blinks a cursor needs this much, a computation more."""


@value
class LastLine:
    """The last journal line about one GPU. `quiet_since`: when its first line as an idle GPU was written."""

    uuid: str
    at: float
    quiet_since: float | None
    held_by: tuple[str, ...]


def idle(each: Gpu) -> bool | None:
    """Whether the GPU is idle; None: unknown."""
    if each.utilisation_max is None or each.utilisation_mean is None:
        return None
    return each.utilisation_mean < IDLE_MEAN and each.utilisation_max <= IDLE_PEAK


def due(
    said: Sequence[LastLine], gpus: Sequence[Gpu], now: float, policy: Policy
) -> tuple[tuple[LastLine, ...], tuple[tuple[Gpu, str], ...]]:
    """(the last line of each GPU, the GPUs that get a line now, each with that line).

    A GPU that sleeps or has a problem (reported as a health item) gets no line each interval either. When work begins
    or ends, or the holders of its memory change, a line is due at once.
    """
    before = {each.uuid: each for each in said}
    after, lines = [], []
    for each in gpus:
        last = before.get(each.uuid)
        quiet = each.asleep or each.trouble is not None or idle(each) is True
        held_by = tuple(sorted(holder.label for holder in holders(each.processes)))
        collapsed = last is not None and last.quiet_since is not None and quiet and last.held_by == held_by
        if collapsed and last is not None and now < last.at + policy.gpu_idle_log_every_s:
            after.append(last)
            continue
        since = last.quiet_since if last is not None and last.quiet_since is not None else now
        doing = f"idle for {span(now - since)}" if collapsed and idle(each) else None
        lines.append((each, gpu_text.line(each, doing)))
        after.append(LastLine(each.uuid, now, since if quiet else None, held_by))
    return tuple(after), tuple(lines)


def aggregate(gpus: Sequence[Gpu]) -> Gpu:
    """Many samples of one GPU, oldest first, as one: mean of means, highest peak, mean power, last level.

    Memory and temperature are levels: the last one known counts. Identity, trouble, sleep and the details that
    are sampled once a minute come from the last sample; the p95 is the highest one. ValueError without samples.
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
