"""One GPU: learns which questions it can answer, then asks only those. An unanswered question is None, never 0.

It has no clock: the caller says when.
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
"""Attribution.who: the process with its owner; None for a process that has ended, which some drivers still list."""
_WATTS_MAX = 20_000.0
_PROCESSES_MAX = 200
"""Per GPU, the ones with the most memory: it bounds the size of a frame."""


@dataclass(frozen=True, slots=True)
class _Details:
    """The last answers to the questions of details.py."""

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
    """Valid until NVML is closed. NvmlError from the constructor: the GPU or the driver is gone; from `read`: only the
    driver as a whole (nvml_errors.DRIVER).
    """

    def __init__(self, index: int, who: Who, details_every_s: float, root: str = "/") -> None:
        self.index = index
        self.handle = nvml.device(index)
        self._who = who
        self._details_every_s = details_every_s
        self._never: set[object] = set()
        self._refused: NvmlError | None = None
        self._seen = 0
        self._seen_processes: int | None = None
        self._energy: tuple[float, float] | None = None
        self._details: _Details | None = None
        self.uuid = self._first([nvml.uuid]) or f"gpu{index}"
        self.name = self._first([nvml.name]) or ""
        self.bus = self._first([nvml.bus])
        self._status = (
            None if self.bus is None else Path(root) / "sys/bus/pci/devices" / self.bus / "power/runtime_status"
        )

    def read(self, now: float) -> Gpu:
        """The GPU since the last call, at `now` (monotonic seconds). A GPU that is lost or asleep has no figures."""
        if self._status is not None and asleep(self._status):
            self._energy = None
            self._details = None
            return unknown(self.index, self.uuid, self.name, None, asleep=True)
        self._refused = None
        try:
            history = self._utilisation()
            used, total = self._first([nvml.memory, nvml.memory_v1]) or (None, None)
            watts, joules = self._power(now)
            last = self._details
            if last is None or now >= last.at + self._details_every_s:
                last = self._details = self._ask_details(now)
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
            self.index, self.uuid, self.name, mean, peak, used, total, last.celsius, watts, None,
            utilisation_p95=p95, energy_j=joules, clock_sm_mhz=last.clock_sm_mhz, throttle=last.throttle,
            ecc_uncorrected=last.ecc, recovery=last.recovery, processes=last.processes, mig=last.mig,
            remap_pending=last.rows.pending if last.rows else None,
            remap_failed=last.rows.failed if last.rows else None,
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
        """(mean watts since the last call, joules since then) by the energy counter; (current watts, None) where there
        is no counter, or where it began again because the driver was loaded again.
        """
        before, joules = self._energy, self._first([nvml.energy_j])
        self._energy = None if joules is None else (now, joules)
        if before is not None and joules is not None and now > before[0]:
            used = joules - before[1]
            watts = used / (now - before[0])
            if 0 < watts <= _WATTS_MAX:
                return watts, used
        return self._first([nvml.power_w]), None

    def _ask_details(self, now: float) -> _Details:
        parts = self._first([details.parts]) or () if self._first([details.divided]) else ()
        return _Details(
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
        """The GPU's processes by pid, None: unknown. NVML lists one that computes and draws twice."""
        lists = [
            self._first([details.computing, details.computing_v2]),
            self._first([details.drawing, details.drawing_v2]),
        ]
        if lists[0] is None:  # without root a divided GPU lists them by MIG device only
            lists += [self._first([details.computing], part) for part in parts]
        if all(each is None for each in lists):
            return None
        users: dict[int, User] = {}
        for each in (user for users_of in lists for user in users_of or ()):
            known = users.setdefault(each.pid, each)
            if (each.memory_bytes or 0) > (known.memory_bytes or 0):
                users[each.pid] = replace(each, instance=known.instance if each.instance is None else each.instance)
        busy = self._busy()
        idle = None if busy is None else 0.0  # the driver measures, and has not seen this one work
        most = sorted(users.values(), key=lambda user: user.memory_bytes or 0, reverse=True)[:_PROCESSES_MAX]
        found = (self._who(user, idle if busy is None else busy.get(user.pid, idle)) for user in most)
        return tuple(sorted((each for each in found if each is not None), key=lambda each: each.pid))

    def _busy(self) -> dict[int, float] | None:
        """Per cent by pid since the last call; {}: none was busy; None: the driver has never measured any."""
        answer = self._first([self._process_utilisation])
        if answer is not None:
            busy, self._seen_processes = answer
            return busy
        return None if self._seen_processes is None or self._process_utilisation in self._never else {}

    def _process_utilisation(self, handle: nvml.Handle) -> tuple[dict[int, float], int]:
        return details.process_utilisation(handle, self._seen_processes or 0)

    def _first(self, ways: Sequence[_Way[_T]], handle: nvml.Handle | None = None) -> _T | None:
        """The answer of the first of `ways` that has one, None if none has. NvmlError for codes GONE and DRIVER.

        A way that this device will never answer is not tried again. MIG devices (`handle`) come and go, so nothing is
        remembered about them.
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
    """A GPU of which no figure is known; `problem` is one sentence, or None."""
    return Gpu(index, uuid, name, None, None, None, None, None, None, problem, asleep)


def asleep(status: Path) -> bool:
    """Whether the device is in runtime suspend (Documentation/power/runtime_pm.rst), from which a question wakes it.

    `status` is its power/runtime_status in sysfs.
    """
    try:
        return status.read_text("ascii", "replace").strip() in {"suspended", "suspending"}
    except OSError:
        return False
