"""Idle kernels that hold GPU memory: when to warn about one, and when it may be ended. Pure.

An unknown value never counts as idleness, and an open tab never counts as work.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from jupyterd.protocol.gpu_frames import Frame, Gpu, GpuProcess
from jupyterd.protocol.policy import Policy
from jupyterd.protocol.value import value

GPU_IDLE_PER_CENT = 1.0
"""Utilisation in per cent that counts as idle: a desktop that shares the card blinks its cursor."""
CPU_IDLE_SHARE = 0.03
"""Share of one processor that counts as idle: a kernel's own housekeeping takes a fifth, a data loader far more."""
AGAIN_S = 600.0
"""A kernel that still runs this long after it was ended is ended once more."""


@value
class Facts:
    """One kernel at one moment. None is "unknown"."""

    kernel: str
    notebook: str | None
    memory_bytes: int | None
    gpu_per_cent: float | None
    """The highest of all its GPUs: of its own processes, or where the driver does not report that, of the whole GPU."""
    cpu_s: float | None
    """Processor time since its start, all its processes together."""
    executing: bool | None
    """Whether a cell runs; None: unknown, no server reports it."""


@value
class CullCandidate:
    """What is remembered about a kernel from frame to frame; times are monotonic."""

    facts: Facts
    at: float
    cpu_at: float | None = None
    """When `facts.cpu_s` was read; None: never."""
    idle_since: float | None = None
    warned_at: float | None = None
    ended_at: float | None = None
    """When it was ended, or in a dry run would have been."""


@value
class CullVerdict:
    """What to say or do about one kernel."""

    what: Literal["warn", "end"]
    facts: Facts
    idle_s: float
    left_s: float
    """Seconds until it is ended."""


def facts(frame: Frame, idle: Iterable[str] | None) -> tuple[Facts, ...]:
    """The facts of every kernel that holds GPU memory. `idle`: kernels in which no cell runs; None: unknown."""
    at_rest = None if idle is None else frozenset(idle)
    cpu = {each.id: each.cpu_s for each in frame.kernels or ()}
    mine: dict[str, list[tuple[Gpu, GpuProcess]]] = {}
    for gpu in frame.gpus:
        for process in gpu.processes or ():
            if process.kernel is not None:
                mine.setdefault(process.kernel, []).append((gpu, process))
    return tuple(
        Facts(
            kernel=kernel,
            notebook=next((process.notebook for _, process in held if process.notebook is not None), None),
            memory_bytes=_memory([process for _, process in held]),
            gpu_per_cent=_per_cent(held),
            cpu_s=cpu.get(kernel),
            executing=None if at_rest is None else kernel not in at_rest,
        )
        for kernel, held in mine.items()
    )


def judge(
    candidates: Sequence[CullCandidate], seen: Sequence[Facts], now: float, policy: Policy, *, with_cpu: bool
) -> tuple[tuple[CullCandidate, ...], tuple[CullVerdict, ...]]:
    """(the candidates to remember, the verdicts). `with_cpu`: this frame has processor times; only then can a kernel
    be judged idle, while any other sign of work counts in every frame.
    """
    before = {each.facts.kernel: each for each in candidates}
    after: list[CullCandidate] = []
    verdicts: list[CullVerdict] = []
    for each in seen:
        old = before.get(each.kernel)
        if old is not None and now - old.at > 2 * policy.gpu_silence_s:  # there were no frames in between
            old = None
        one = _updated(old, each, now, policy, with_cpu=with_cpu)
        if with_cpu:
            one, verdict = _judged(one, now, policy)
            verdicts += [verdict] if verdict is not None else []
        after.append(one)
    return tuple(after), tuple(verdicts)


def _updated(old: CullCandidate | None, new: Facts, now: float, policy: Policy, *, with_cpu: bool) -> CullCandidate:
    """The candidate with the new facts; `idle_since` begins at the first of two processor readings without work."""
    if not with_cpu:
        kept = (
            CullCandidate(new, now) if old is None else replace(old, facts=replace(new, cpu_s=old.facts.cpu_s), at=now)
        )
        return kept if _may_be_idle(new, policy) else _busy(kept)
    cpu_at = None if new.cpu_s is None else now
    if old is None:
        return CullCandidate(new, now, cpu_at)
    one = replace(old, facts=new, at=now, cpu_at=cpu_at)
    if not _may_be_idle(new, policy) or not _rested(old, new, now):
        return _busy(one)
    return replace(one, idle_since=old.cpu_at if old.idle_since is None else old.idle_since)


def _judged(one: CullCandidate, now: float, policy: Policy) -> tuple[CullCandidate, CullVerdict | None]:
    if one.idle_since is None:
        return one, None
    idle_s = now - one.idle_since
    if one.warned_at is None:
        if idle_s < max(0.0, policy.cull_idle_s - policy.cull_warning_s):
            return one, None
        left_s = max(policy.cull_idle_s - idle_s, policy.cull_warning_s)
        return replace(one, warned_at=now), CullVerdict("warn", one.facts, idle_s, left_s)
    due = idle_s >= policy.cull_idle_s and now - one.warned_at >= policy.cull_warning_s
    if not due or (one.ended_at is not None and (policy.cull_dry_run or now - one.ended_at < AGAIN_S)):
        return one, None
    return replace(one, ended_at=now), CullVerdict("end", one.facts, idle_s, 0.0)


def _may_be_idle(each: Facts, policy: Policy) -> bool:
    """Whether everything but its processor time (see _rested) says that it is idle."""
    return (
        each.executing is False
        and each.memory_bytes is not None
        and each.memory_bytes > policy.cull_memory_bytes
        and each.gpu_per_cent is not None
        and each.gpu_per_cent < GPU_IDLE_PER_CENT
    )


def _rested(old: CullCandidate, new: Facts, now: float) -> bool:
    """Whether it used next to no processor time since the last reading. A smaller sum means that a process has ended
    uncounted, so there was work.
    """
    if old.cpu_at is None or old.facts.cpu_s is None or new.cpu_s is None or now <= old.cpu_at:
        return False
    return 0 <= new.cpu_s - old.facts.cpu_s <= CPU_IDLE_SHARE * (now - old.cpu_at)


def _busy(one: CullCandidate) -> CullCandidate:
    return replace(one, idle_since=None, warned_at=None, ended_at=None)


def _memory(processes: Sequence[GpuProcess]) -> int | None:
    known = [each.memory_bytes for each in processes if each.memory_bytes is not None]
    return sum(known) if known else None


def _per_cent(held: Sequence[tuple[Gpu, GpuProcess]]) -> float | None:
    """None if the utilisation of any of these GPUs is unknown."""
    by_gpu: dict[str, tuple[Gpu, list[float | None]]] = {}
    for gpu, process in held:
        by_gpu.setdefault(gpu.uuid, (gpu, []))[1].append(process.utilisation)
    found = []
    for gpu, own in by_gpu.values():
        known = [each for each in own if each is not None]
        # The peak, not the mean: a short burst each half minute is work.
        found.append(sum(known) if len(known) == len(own) else gpu.utilisation_max)
    known = [each for each in found if each is not None]
    return max(known) if len(known) == len(found) else None
