"""What happened on the GPUs in a span of time, by GPU and by holder of its memory: from frames, or from shorter spans.

Pure: no file, no clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from jupyterd.protocol.gpu_frames import Frame, Gpu, GpuProcess

_T = TypeVar("_T")
_LEAST_S = 0.001
"""The weight of a first frame, which covers no time: it counts where there is nothing else."""


@dataclass(frozen=True, slots=True)
class GpuSpan:
    """One GPU from `at` (Unix seconds) for `span_s`. Absent is None, never 0."""

    at: int
    span_s: int
    uuid: str
    index: int
    name: str
    covered_s: float
    """Seconds of the span about which something is known."""
    utilisation_mean: float | None
    """Per cent."""
    utilisation_max: float | None
    memory_max_bytes: int | None
    memory_total_bytes: int | None
    power_w: float | None
    temperature_max_c: int | None
    energy_j: float | None


@dataclass(frozen=True, slots=True)
class HolderInterval:
    """Who held memory: a kernel, with the last notebook that it belonged to, or the programs of an account."""

    kernel: str | None
    notebook: str | None
    user: str | None


@dataclass(frozen=True, slots=True)
class HolderSpan:
    """One holder on one GPU. `energy_j` is its share of the GPU's energy, see `shares`."""

    at: int
    span_s: int
    uuid: str
    holder: HolderInterval
    held_s: float
    utilisation_mean: float | None
    """Per cent of the GPU, while it was held."""
    memory_max_bytes: int | None
    energy_j: float | None


@dataclass(frozen=True, slots=True)
class Spans:
    """Both kinds, over the same time."""

    gpus: tuple[GpuSpan, ...] = ()
    holders: tuple[HolderSpan, ...] = ()


def beginning(at: float, span_s: int) -> int:
    """When the span that holds `at` begins (Unix seconds)."""
    return math.floor(at / span_s) * span_s


def of_frames(frames: Sequence[Frame], at: int, span_s: int) -> Spans:
    """One span for each GPU in the frames, and one for each holder on it."""
    gpus: dict[str, list[GpuSpan]] = {}
    holders: dict[tuple[str, str], list[HolderSpan]] = {}
    for frame in frames:
        covered_s = frame.span_s or 0.0
        for gpu in frame.gpus:
            if (span := _gpu(gpu, covered_s, at, span_s)) is not None:
                gpus.setdefault(gpu.uuid, []).append(span)
            for each in _holders(gpu, covered_s, at, span_s):
                holders.setdefault((gpu.uuid, key(each.holder)), []).append(each)
    return Spans(
        tuple(merge_gpu(each, at, span_s) for each in gpus.values()),
        tuple(merge_holder(each, at, span_s) for each in holders.values()),
    )


def key(holder: HolderInterval) -> str:
    """Identifies the holder; stays the same when the notebook is renamed."""
    return f"kernel {holder.kernel}" if holder.kernel is not None else f"user {holder.user or ''}"


def merge_gpu(spans: Sequence[GpuSpan], at: int, span_s: int) -> GpuSpan:
    """Several spans of one GPU, oldest first, as one. ValueError when there is none."""
    if not spans:
        raise ValueError("no spans to merge")
    weights = [each.covered_s for each in spans]
    return replace(
        spans[-1],
        at=at,
        span_s=span_s,
        covered_s=math.fsum(weights),
        utilisation_mean=_mean([each.utilisation_mean for each in spans], weights),
        utilisation_max=_most(each.utilisation_max for each in spans),
        memory_max_bytes=_most(each.memory_max_bytes for each in spans),
        memory_total_bytes=_most(each.memory_total_bytes for each in spans),
        power_w=_mean([each.power_w for each in spans], weights),
        temperature_max_c=_most(each.temperature_max_c for each in spans),
        energy_j=_sum(each.energy_j for each in spans),
    )


def merge_holder(spans: Sequence[HolderSpan], at: int, span_s: int) -> HolderSpan:
    """Several spans of one holder on one GPU, oldest first, as one; its notebook is the last one known."""
    if not spans:
        raise ValueError("no spans to merge")
    weights = [each.held_s for each in spans]
    notebook = next((each.holder.notebook for each in reversed(spans) if each.holder.notebook is not None), None)
    return replace(
        spans[-1],
        at=at,
        span_s=span_s,
        holder=replace(spans[-1].holder, notebook=notebook),
        held_s=math.fsum(weights),
        utilisation_mean=_mean([each.utilisation_mean for each in spans], weights),
        memory_max_bytes=_most(each.memory_max_bytes for each in spans),
        energy_j=_sum(each.energy_j for each in spans),
    )


def gathered(waiting: tuple[Frame, ...], new: Frame, span_s: int) -> tuple[tuple[Frame, ...], Spans | None]:
    """(frames of the current span, the span before if `new` is the first frame after it, else None)."""
    if not new.at:
        return waiting, None
    before = beginning(waiting[-1].at, span_s) if waiting else None
    if before is None or before == beginning(new.at, span_s):
        return (*waiting, new), None
    return (new,), of_frames(waiting, before, span_s)


def coarser(spans: Spans, span_s: int) -> Spans:
    """The spans merged into longer ones of `span_s` seconds."""

    def gpu_key(each: GpuSpan) -> tuple[int, str]:
        return beginning(each.at, span_s), each.uuid

    def holder_key(each: HolderSpan) -> tuple[int, str, str]:
        return beginning(each.at, span_s), each.uuid, key(each.holder)

    return Spans(
        tuple(merge_gpu(each, gpu_key(each[0])[0], span_s) for each in _grouped(spans.gpus, gpu_key)),
        tuple(merge_holder(each, holder_key(each[0])[0], span_s) for each in _grouped(spans.holders, holder_key)),
    )


def shares(processes: Sequence[GpuProcess]) -> list[float]:
    """Each process's share of the GPU's energy, from 0 to 1: by utilisation while any computes, otherwise by memory
    held, equal when neither is known. NVML has no counter by process, so the idle card's energy is divided as well.
    """
    for measure in ([each.utilisation or 0.0 for each in processes], [each.memory_bytes or 0 for each in processes]):
        whole = math.fsum(measure)
        if whole > 0:
            return [each / whole for each in measure]
    return [1 / len(processes) for _ in processes]


def _gpu(gpu: Gpu, covered_s: float, at: int, span_s: int) -> GpuSpan | None:
    figures = (gpu.utilisation_mean, gpu.memory_used_bytes, gpu.power_w, gpu.temperature_c, gpu.energy_j)
    if all(each is None for each in figures):  # asleep, lost: nothing is known of that time
        return None
    return GpuSpan(
        at, span_s, gpu.uuid, gpu.index, gpu.name, covered_s,
        gpu.utilisation_mean, gpu.utilisation_max, gpu.memory_used_bytes, gpu.memory_total_bytes,
        gpu.power_w, gpu.temperature_c, _energy(gpu, covered_s),
    )  # fmt: skip


def _energy(gpu: Gpu, covered_s: float) -> float | None:
    if gpu.energy_j is not None:
        return gpu.energy_j
    return None if gpu.power_w is None else gpu.power_w * covered_s


def _holders(gpu: Gpu, covered_s: float, at: int, span_s: int) -> list[HolderSpan]:
    """One span for each holder, over all of its processes."""
    processes = gpu.processes or ()
    energy_j = _energy(gpu, covered_s)
    found: dict[str, tuple[HolderInterval, list[GpuProcess], float]] = {}
    for process, share in zip(processes, shares(processes) if processes else (), strict=True):
        holder = HolderInterval(process.kernel, process.notebook, process.user)
        _, mine, before = found.get(key(holder), (holder, [], 0.0))
        found[key(holder)] = (holder, [*mine, process], before + share)
    return [
        HolderSpan(
            at=at,
            span_s=span_s,
            uuid=gpu.uuid,
            holder=holder,
            held_s=covered_s,
            utilisation_mean=_sum(each.utilisation for each in mine),
            memory_max_bytes=_sum(each.memory_bytes for each in mine),
            energy_j=None if energy_j is None else energy_j * share,
        )
        for holder, mine, share in found.values()
    ]


def _grouped(spans: Sequence[_T], by: Callable[[_T], object]) -> list[list[_T]]:
    found: dict[object, list[_T]] = {}
    for each in spans:
        found.setdefault(by(each), []).append(each)
    return list(found.values())


def _mean(values: Sequence[float | None], weights: Sequence[float]) -> float | None:
    known = [(value, max(weight, _LEAST_S)) for value, weight in zip(values, weights, strict=True) if value is not None]
    if not known:
        return None
    return math.fsum(value * weight for value, weight in known) / math.fsum(weight for _, weight in known)


def _most(values: Iterable[_T | None]) -> _T | None:
    known = [value for value in values if value is not None]
    return max(known, default=None)  # type: ignore[type-var]  # numbers


def _sum(values: Iterable[_T | None]) -> _T | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None  # type: ignore[arg-type,return-value]  # numbers
