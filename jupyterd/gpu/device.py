"""One GPU: settles once what it can tell, then asks only that, and never takes silence for idleness.

It does not know when it is asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from jupyterd.gpu import details, nvml, nvml_errors
from jupyterd.gpu.details import Rows, User
from jupyterd.gpu.nvml import NvmlError
from jupyterd.protocol.gpu_frames import Gpu, GpuProcess, Mig

_T = TypeVar("_T")
_Way = Callable[[nvml.Handle], _T]
Who = Callable[[User, float | None], GpuProcess | None]
"""Whose process that is, with its utilisation; None: nobody's, for the driver tells of processes that are gone."""
_WATTS_MAX = 20_000.0
_PROCESSES_MAX = 200
"""Of one GPU, those with the most memory: a frame has a bound."""


@dataclass(frozen=True, slots=True)
class _Seldom:
    """The last answers to what is asked seldom."""

    at: float
    celsius: int | None
    clock_sm_mhz: int | None
    throttle: tuple[str, ...] | None
    ecc: int | None
    rows: Rows | None
    recovery: str | None
    processes: tuple[GpuProcess, ...] | None
    mig: tuple[Mig, ...]


class Device:
    """Valid until NVML is closed. `read` raises NvmlError only when nothing at all can be asked (trouble.DRIVER)."""

    def __init__(self, index: int, who: Who, seldom_every_s: float, root: str = "/") -> None:
        self.index = index
        self.handle = nvml.device(index)
        self._who = who
        self._seldom_every_s = seldom_every_s
        self._never: set[object] = set()
        self._refused: NvmlError | None = None
        self._seen = 0
        self._seen_processes: int | None = None
        self._energy: tuple[float, float] | None = None
        self._seldom: _Seldom | None = None
        self.uuid = self._first([nvml.uuid]) or f"gpu{index}"
        self.name = self._first([nvml.name]) or ""
        self.bus = self._first([nvml.bus])
        self._status = (
            None if self.bus is None else Path(root) / "sys/bus/pci/devices" / self.bus / "power/runtime_status"
        )

    def read(self, now: float) -> Gpu:
        """What happened since the last call. What cannot be known is None."""
        if self._status is not None and asleep(self._status):
            self._energy = None
            self._seldom = None
            return unknown(self.index, self.uuid, self.name, None, asleep=True)
        self._refused = None
        try:
            history = self._utilisation()
            used, total = self._first([nvml.memory, nvml.memory_v1]) or (None, None)
            watts, joules = self._power(now)
            late = self._seldom
            if late is None or now >= late.at + self._seldom_every_s:
                late = self._seldom = self._ask_seldom(now)
        except NvmlError as refusal:
            if refusal.code in nvml_errors.DRIVER:
                raise
            return unknown(self.index, self.uuid, self.name, nvml_errors.of_gpu(refusal.code, refusal.said))
        silent = history is None and used is None and watts is None
        refused = self._refused
        if silent and refused is not None:
            return unknown(self.index, self.uuid, self.name, nvml_errors.of_gpu(refused.code, refused.said))
        mean, peak, p95 = (None, None, None) if history is None else (history.mean, history.peak, history.p95)
        return Gpu(
            self.index, self.uuid, self.name, mean, peak, used, total, late.celsius, watts, None,
            utilisation_p95=p95, energy_j=joules, clock_sm_mhz=late.clock_sm_mhz, throttle=late.throttle,
            ecc_uncorrected=late.ecc, recovery=late.recovery, processes=late.processes, mig=late.mig,
            remap_pending=late.rows.pending if late.rows else None,
            remap_failed=late.rows.failed if late.rows else None,
        )  # fmt: skip

    def _utilisation(self) -> nvml.Utilisation | None:
        history = self._first([self._history])
        if history is not None:
            self._seen = history.seen
            return history
        now = self._first([nvml.utilisation_now])
        return None if now is None else nvml.Utilisation(now, now, now, self._seen)

    def _history(self, handle: nvml.Handle) -> nvml.Utilisation:
        return nvml.utilisation_history(handle, self._seen)

    def _power(self, now: float) -> tuple[float | None, float | None]:
        """Mean watts since the last call and the energy, by the counter; the momentary power where that says nothing.

        A smaller counter than before: the driver was loaded anew.
        """
        before, joules = self._energy, self._first([nvml.energy_j])
        self._energy = None if joules is None else (now, joules)
        if before is not None and joules is not None and now > before[0]:
            used = joules - before[1]
            watts = used / (now - before[0])
            if 0 < watts <= _WATTS_MAX:
                return watts, used
        return self._first([nvml.power_w]), None

    def _ask_seldom(self, now: float) -> _Seldom:
        parts = self._first([details.parts]) or () if self._first([details.divided]) else ()
        return _Seldom(
            now,
            self._first([details.temperature, details.temperature_v1]),
            self._first([details.clock_sm_mhz]),
            self._first([details.throttle, details.throttle_v1]),
            self._first([details.ecc_uncorrected]),
            self._first([details.rows]),
            self._first([details.recovery]),
            self._processes([part for part, _ in parts]),
            tuple(mig for _, mig in parts),
        )

    def _processes(self, parts: Sequence[nvml.Handle]) -> tuple[GpuProcess, ...] | None:
        """By pid. One that computes and draws is told twice, with the same memory."""
        lists = [
            self._first([details.computing, details.computing_v2]),
            self._first([details.drawing, details.drawing_v2]),
        ]
        if lists[0] is None:  # without root a divided GPU tells them by its parts only
            lists += [self._first([details.computing], part) for part in parts]
        if all(each is None for each in lists):
            return None
        users: dict[int, User] = {}
        for each in (user for users_of in lists for user in users_of or ()):
            known = users.setdefault(each.pid, each)
            if (each.memory_bytes or 0) > (known.memory_bytes or 0):
                users[each.pid] = replace(each, instance=known.instance if each.instance is None else each.instance)
        busy = self._busy()
        idle = None if busy is None else 0.0  # the driver counts, and has not seen this one at work
        most = sorted(users.values(), key=lambda user: user.memory_bytes or 0, reverse=True)[:_PROCESSES_MAX]
        found = (self._who(user, idle if busy is None else busy.get(user.pid, idle)) for user in most)
        return tuple(sorted((each for each in found if each is not None), key=lambda each: each.pid))

    def _busy(self) -> dict[int, float] | None:
        """Utilisation by pid since the last time; None while the driver has never told any, {} when none was busy."""
        told = self._first([self._process_utilisation])
        if told is not None:
            self._seen_processes = told[1]
            return told[0]
        return None if self._seen_processes is None or self._process_utilisation in self._never else {}

    def _process_utilisation(self, handle: nvml.Handle) -> tuple[dict[int, float], int]:
        return details.process_utilisation(handle, self._seen_processes or 0)

    def _first(self, ways: Sequence[_Way[_T]], handle: nvml.Handle | None = None) -> _T | None:
        """The first answer of several ways to ask the same, the best first. What this device will never answer is
        remembered, and that of a part (`handle`) is not: parts come and go.
        """
        for way in ways:
            if way in self._never and handle is None:
                continue
            try:
                return way(self.handle if handle is None else handle)
            except NvmlError as refusal:
                if refusal.code in nvml_errors.GONE or refusal.code in nvml_errors.DRIVER:
                    raise
                if refusal.code in nvml_errors.NEVER:
                    if handle is None:
                        self._never.add(way)
                elif refusal.code not in {nvml_errors.NOT_FOUND, nvml_errors.NO_DATA}:
                    self._refused = refusal
        return None


def unknown(index: int, uuid: str, name: str, problem: str | None, *, asleep: bool = False) -> Gpu:
    """A GPU without any figure."""
    return Gpu(index, uuid, name, None, None, None, None, None, None, problem, asleep)


def asleep(status: Path) -> bool:
    """Whether the kernel has put the device to sleep (Documentation/power/runtime_pm.rst); a question wakes it."""
    try:
        return status.read_text("ascii", "replace").strip() in {"suspended", "suspending"}
    except OSError:
        return False
