"""One GPU: settles once what it can tell, then asks only that, and never takes silence for idleness.

It does not know when it is asked again. Neighbours: nvml.py answers, sampler.py asks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from jupyterd.gpu import nvml, trouble
from jupyterd.gpu.nvml import NvmlError
from jupyterd.wire.frames import Gpu

_T = TypeVar("_T")
_Way = Callable[[nvml.Handle], _T]
_WATTS_MAX = 20_000.0


class Device:
    """Valid until NVML is closed. `read` raises NvmlError only when nothing at all can be asked (trouble.DRIVER)."""

    def __init__(self, index: int, root: str = "/") -> None:
        self.index = index
        self._handle = nvml.device(index)
        self._never: set[object] = set()
        self._refused: NvmlError | None = None
        self._seen = 0
        self._energy: tuple[float, float] | None = None
        self.uuid = self._first([nvml.uuid]) or f"gpu{index}"
        self.name = self._first([nvml.name]) or ""
        bus = self._first([nvml.bus])
        self._status = None if bus is None else Path(root) / "sys/bus/pci/devices" / bus / "power/runtime_status"

    def read(self, now: float) -> Gpu:
        """What happened since the last call. What cannot be known is None."""
        if self._status is not None and asleep(self._status):
            self._energy = None
            return unknown(self.index, self.uuid, self.name, None, asleep=True)
        self._refused = None
        try:
            mean, peak = self._utilisation()
            used, total = self._first([nvml.memory, nvml.memory_v1]) or (None, None)
            celsius = self._first([nvml.temperature, nvml.temperature_v1])
            watts = self._power(now)
        except NvmlError as refusal:
            if refusal.code in trouble.DRIVER:
                raise
            return unknown(self.index, self.uuid, self.name, trouble.of_gpu(refusal.code, refusal.said))
        silent = mean is None and used is None and celsius is None and watts is None
        refused = self._refused
        problem = trouble.of_gpu(refused.code, refused.said) if silent and refused is not None else None
        return Gpu(self.index, self.uuid, self.name, mean, peak, used, total, celsius, watts, problem)

    def _utilisation(self) -> tuple[float | None, float | None]:
        history = self._first([self._history])
        if history is not None:
            self._seen = history.seen
            return history.mean, history.peak
        now = self._first([nvml.utilisation_now])
        return now, now

    def _history(self, handle: nvml.Handle) -> nvml.Utilisation:
        return nvml.utilisation_history(handle, self._seen)

    def _power(self, now: float) -> float | None:
        """Mean watts since the last call by the energy counter; by the momentary power where that says nothing."""
        before, joules = self._energy, self._first([nvml.energy_j])
        self._energy = None if joules is None else (now, joules)
        if before is not None and joules is not None and now > before[0]:
            watts = (joules - before[1]) / (now - before[0])
            if 0 < watts <= _WATTS_MAX:
                return watts
        return self._first([nvml.power_w])

    def _first(self, ways: Sequence[_Way[_T]]) -> _T | None:
        """The first answer of several ways to ask the same, the best first."""
        for way in ways:
            if way in self._never:
                continue
            try:
                return way(self._handle)
            except NvmlError as refusal:
                if refusal.code in trouble.GONE or refusal.code in trouble.DRIVER:
                    raise
                if refusal.code in trouble.NEVER:
                    self._never.add(way)
                elif refusal.code not in {trouble.NOT_FOUND, trouble.NO_DATA}:
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
