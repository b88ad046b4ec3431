"""All GPUs as frames, whatever the driver does: opens NVML, reads, waits after an error, opens again.

It has no clock and sends nothing: the caller says when, and gets the frame.
"""

from __future__ import annotations

import os
from dataclasses import replace

from jupyterd.gpu import driver, nvml, nvml_errors
from jupyterd.gpu.attribution import Attribution
from jupyterd.gpu.device import Device, asleep, unknown
from jupyterd.gpu.nvml import NvmlError
from jupyterd.gpu.nvml_errors import NvmlProblem
from jupyterd.gpu.xid import Events, KernelLog
from jupyterd.linux import proc
from jupyterd.protocol.gpu_frames import Frame, Gpu, GpuKernel, Xid

_LOST_AGAIN_S = 60.0
_LOST_AT_MOST_S = 600.0
_NOTHING = Frame((), None, None)


class Sampler:
    """Owns the open NVML. `again_at` (monotonic seconds) is when NVML is opened again after an error, or None."""

    def __init__(
        self, attribution: Attribution, details_every_s: float = 60.0, root: str = "/", *, with_cpu_time: bool = False
    ) -> None:
        self._with_cpu_time = with_cpu_time
        self._attribution = attribution
        self._details_every_s = details_every_s
        self._root = root
        self._log = KernelLog(root)
        self._events: Events | None = None
        self._buses: dict[str, str] = {}
        self._xids: dict[str, list[Xid]] = {}
        self._driver: str | None = None
        self._foreseen: str | None = None
        self._looked_at: float | None = None
        self._before: float | None = None
        self._started = proc.started(os.getpid()) or 0
        self._devices: tuple[Device | Gpu, ...] | None = None
        self._known: dict[str, tuple[int, str]] = {}
        self._said = _NOTHING
        self._delay_s = 0.0
        self.again_at: float | None = None
        self.fresh = False
        """Only a new process can see the cure at `again_at`: the loader keeps a library that it has loaded."""

    def beat(self, now: float, unix: float) -> Frame:
        """One frame, at `now` (monotonic) and `unix` seconds. Until `again_at` it repeats the last one, unasked."""
        detailed = self._looked_at is None or now >= self._looked_at + self._details_every_s
        if detailed:
            self._looked_at = now
            self._attribution.refresh()
            self._foreseen = driver.foreseen(self._root)
        frame = self._sample(now)
        self._collect(now)
        gpus = tuple(replace(each, xids=tuple(self._xids.pop(each.uuid, ()))) for each in frame.gpus)
        span_s = None if self._before is None else now - self._before
        self._before = now
        return replace(
            frame, gpus=gpus, at=unix, span_s=span_s, driver=self._driver, foreseen=self._foreseen,
            pid=os.getpid(), started=self._started,
            kernels=self._cpu_time(gpus) if detailed and self._with_cpu_time else None,
        )  # fmt: skip

    def _cpu_time(self, gpus: tuple[Gpu, ...]) -> tuple[GpuKernel, ...]:
        pids = {each.kernel: each.pid for gpu in gpus for each in gpu.processes or () if each.kernel is not None}
        return tuple(GpuKernel(kernel, used) for kernel, used in self._attribution.cpu_s(pids.items()).items())

    def _sample(self, now: float) -> Frame:
        due = self.again_at is not None and now >= self.again_at
        if due and self._devices is not None:
            self._close()
        if self._devices is None:
            if self.again_at is not None and not due:
                return self._said
            if self._all_asleep():
                self.again_at = None
                return _NOTHING
        try:
            if self._devices is None:
                self._devices = self._open()
            frame = self._read(self._devices, now)
        except NvmlError as refusal:
            self._close()
            mismatch = (
                driver.version_mismatch(self._root) if refusal.code == nvml_errors.LIB_RM_VERSION_MISMATCH else None
            )
            return self._rest(nvml_errors.of_driver(refusal.code, refusal.said, mismatch), now)
        if not frame.gpus:
            self._close()
            return self._rest(nvml_errors.NO_GPU, now)
        self._plan_next(frame, now)
        return frame

    def _open(self) -> tuple[Device | Gpu, ...]:
        found = tuple(self._device(index) for index in range(nvml.open_nvml()))
        uuids = {each.uuid for each in found}
        gone = tuple(
            unknown(index, uuid, name, nvml_errors.UNSEEN)
            for uuid, (index, name) in self._known.items()
            if uuid not in uuids
        )
        self._known |= {each.uuid: (each.index, each.name) for each in found}
        devices = [each for each in found if isinstance(each, Device)]
        self._buses |= {each.bus: each.uuid for each in devices if each.bus is not None}
        self._events = None if self._log.readable else Events(devices)
        self._driver = self._version()
        return found + gone

    def _version(self) -> str | None:
        try:
            return nvml.driver_version()
        except NvmlError:
            return driver.running_version(self._root)

    def _collect(self, now: float) -> None:
        """Keep new Xids until a frame has their GPU."""
        found = [(self._buses[bus], xid) for bus, xid in self._log.take() if bus in self._buses]
        if self._events is not None:
            found += [(device.uuid, xid) for device, xid in self._events.take(now)]
        for uuid, xid in found:
            self._xids.setdefault(uuid, []).append(xid)

    def _device(self, index: int) -> Device | Gpu:
        try:
            return Device(index, self._attribution.who, self._details_every_s, self._root)
        except NvmlError as refusal:
            if refusal.code in nvml_errors.DRIVER:
                raise
            problem = nvml_errors.of_gpu(refusal.code, refusal.said)
        at_index = (each for each in self._known.items() if each[1][0] == index)
        uuid, (_, name) = next(at_index, (f"gpu{index}", (index, "")))
        return unknown(index, uuid, name, problem)

    def _read(self, devices: tuple[Device | Gpu, ...], now: float) -> Frame:
        return Frame(tuple(each if isinstance(each, Gpu) else each.read(now) for each in devices), None, None)

    def _plan_next(self, frame: Frame, now: float) -> None:
        """After a good frame nothing is planned. With a GPU in trouble NVML is opened again later; with all of them in
        trouble it is closed until then, as an open device can be neither reset nor given another driver.
        """
        self._said = frame
        self.fresh = False
        if not any(each.trouble for each in frame.gpus):
            self.again_at, self._delay_s = None, 0.0
            return
        if self.again_at is None or now >= self.again_at:
            self._later(_LOST_AGAIN_S, _LOST_AT_MOST_S, now)
        if all(each.trouble for each in frame.gpus):
            self._close()

    def _rest(self, problem: NvmlProblem, now: float) -> Frame:
        self._said = Frame((), problem.text, problem.advice)
        self.fresh = problem.fresh
        self._later(problem.again_s, problem.at_most_s, now)
        return self._said

    def _later(self, first_s: float, at_most_s: float, now: float) -> None:
        self._delay_s = min(max(first_s, 2 * self._delay_s), at_most_s)
        self.again_at = now + self._delay_s

    def _close(self) -> None:
        if self._devices is not None:
            self._devices = self._events = None
            nvml.close_nvml()

    def _all_asleep(self) -> bool:
        """Asked before NVML is opened, which wakes every GPU."""
        gpus = driver.pci_gpus(self._root)
        return bool(gpus) and all(asleep(each / "power/runtime_status") for each in gpus)
