"""The NVML questions that are asked once a minute: processes, temperature, clocks, errors, MIG devices.

Typed like those of nvml.py, and asked through nvml.ask: each raises NvmlError. attribution.py says whose a process is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import pynvml

from jupyterd.gpu import nvml, nvml_errors
from jupyterd.gpu.nvml import Handle, NvmlError
from jupyterd.protocol.gpu_frames import RECOVERY, Mig

_T = TypeVar("_T")
_PER_CENT_MAX = 100
_CELSIUS_MAX = 200
_MEGAHERTZ_MAX = 20_000
_BYTES_MAX = 1 << 50
_COUNT_MAX = 1 << 40
_PARTS_MAX = 64
_THROTTLE = (
    (pynvml.nvmlClocksEventReasonSwPowerCap, "power-cap"),
    (pynvml.nvmlClocksEventReasonSwThermalSlowdown | pynvml.nvmlClocksEventReasonHwThermalSlowdown, "thermal"),
    (pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown, "power-brake"),
    (pynvml.nvmlClocksEventReasonSyncBoost, "sync"),
    (pynvml.nvmlClocksEventReasonApplicationsClocksSetting, "applications"),
)
_HW_EXPLAINED = pynvml.nvmlClocksEventReasonHwThermalSlowdown | pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown


@dataclass(frozen=True, slots=True)
class User:
    """A process as NVML lists it. `pid` is the one that the driver sees; `instance` the MIG GPU instance id, if any."""

    pid: int
    memory_bytes: int | None
    instance: int | None


@dataclass(frozen=True, slots=True)
class Rows:
    """Replacement of memory rows after uncorrectable errors (nvmlDeviceGetRemappedRows)."""

    pending: bool
    """A row is replaced at the next reset."""
    failed: bool
    """No spare row is left."""


def computing(handle: Handle) -> tuple[User, ...]:
    """Compute processes (nvmlDeviceGetComputeRunningProcesses_v3, drivers since 510)."""
    return _users(pynvml.nvmlDeviceGetComputeRunningProcesses_v3, handle)


def computing_v2(handle: Handle) -> tuple[User, ...]:
    """Compute processes, from drivers before 510."""
    return _users(pynvml.nvmlDeviceGetComputeRunningProcesses_v2, handle)


def drawing(handle: Handle) -> tuple[User, ...]:
    """Graphics processes, such as a desktop (nvmlDeviceGetGraphicsRunningProcesses_v3, drivers since 510)."""
    return _users(pynvml.nvmlDeviceGetGraphicsRunningProcesses_v3, handle)


def drawing_v2(handle: Handle) -> tuple[User, ...]:
    """Graphics processes, from drivers before 510."""
    return _users(pynvml.nvmlDeviceGetGraphicsRunningProcesses_v2, handle)


def process_utilisation(handle: Handle, seen: int) -> tuple[dict[int, float], int]:
    """(mean per cent by pid over the driver's samples since `seen`, `seen` for the next call).

    `seen` is a time stamp of the driver's, in microseconds; 0 asks for all samples. NvmlError NOT_FOUND: no new ones.
    """
    samples = [each for each in nvml.ask(pynvml.nvmlDeviceGetProcessUtilization, handle, seen) if each.timeStamp > seen]
    if not samples:
        raise NvmlError(nvml_errors.NOT_FOUND, "no samples")
    by_pid: dict[int, list[int]] = {}
    for each in samples:
        if each.smUtil <= _PER_CENT_MAX:  # some drivers write what they never measured
            by_pid.setdefault(each.pid, []).append(each.smUtil)
    means = {pid: sum(values) / len(values) for pid, values in by_pid.items()}
    return means, max(each.timeStamp for each in samples)


def temperature(handle: Handle) -> int:
    """Degrees Celsius of the chip (nvmlDeviceGetTemperatureV, drivers since 570)."""
    celsius = nvml.ask(pynvml.nvmlDeviceGetTemperatureV, handle, pynvml.NVML_TEMPERATURE_GPU)
    return int(nvml.within(celsius, _CELSIUS_MAX))


def temperature_v1(handle: Handle) -> int:
    """Degrees Celsius of the chip, from drivers before 570."""
    celsius = nvml.ask(pynvml.nvmlDeviceGetTemperature, handle, pynvml.NVML_TEMPERATURE_GPU)
    return int(nvml.within(celsius, _CELSIUS_MAX))


def clock_sm_mhz(handle: Handle) -> int:
    """Current clock of the streaming multiprocessors in MHz."""
    return int(nvml.within(nvml.ask(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_SM), _MEGAHERTZ_MAX))


def throttle(handle: Handle) -> tuple[str, ...]:
    """Why the clocks are held down, words of gpu_frames.THROTTLE (drivers since 535)."""
    return _reasons(nvml.ask(pynvml.nvmlDeviceGetCurrentClocksEventReasons, handle))


def throttle_v1(handle: Handle) -> tuple[str, ...]:
    """Why the clocks are held down, from drivers before 535."""
    return _reasons(nvml.ask(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle))


def ecc_uncorrected(handle: Handle) -> int:
    """Number of uncorrectable memory errors since the driver was loaded."""
    kinds = (pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC)
    return int(nvml.within(nvml.ask(pynvml.nvmlDeviceGetTotalEccErrors, handle, *kinds), _COUNT_MAX))


def rows(handle: Handle) -> Rows:
    """State of row remapping (Ampere and later, with ECC)."""
    _, _, pending, failed = nvml.ask(pynvml.nvmlDeviceGetRemappedRows, handle)
    return Rows(bool(pending), bool(failed))


def recovery(handle: Handle) -> str:
    """The recovery action that the driver asks for, a word of gpu_frames.RECOVERY (drivers since 550)."""
    (field,) = nvml.ask(pynvml.nvmlDeviceGetFieldValues, handle, [pynvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION])
    if field.nvmlReturn != pynvml.NVML_SUCCESS:
        raise NvmlError(int(field.nvmlReturn), "no recovery action")
    return RECOVERY[int(nvml.within(nvml.value_of(field.valueType, field.value), len(RECOVERY) - 1))]


def divided(handle: Handle) -> bool:
    """Whether MIG is enabled: the GPU is divided into devices of its own kind."""
    current, _ = nvml.ask(pynvml.nvmlDeviceGetMigMode, handle)
    return bool(current)


def parts(handle: Handle) -> tuple[tuple[Handle, Mig], ...]:
    """The MIG devices of a divided GPU, each with its handle."""
    most = int(nvml.within(nvml.ask(pynvml.nvmlDeviceGetMaxMigDeviceCount, handle), _PARTS_MAX))
    found = []
    for index in range(most):
        try:
            part = nvml.ask(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, index)
        except NvmlError as refusal:
            if refusal.code in {nvml_errors.NOT_FOUND, nvml_errors.INVALID_ARGUMENT}:
                continue  # their indices have gaps
            raise
        used, total = _maybe(nvml.memory, part) or _maybe(nvml.memory_v1, part) or (None, None)
        uuid, name = _maybe(nvml.uuid, part) or "", _maybe(nvml.name, part) or ""
        found.append((part, Mig(index, uuid, name, used, total, _maybe(_instance, part))))
    return tuple(found)


def _instance(part: Handle) -> int:
    return int(nvml.within(nvml.ask(pynvml.nvmlDeviceGetGpuInstanceId, part), _PARTS_MAX))


def _maybe(question: Callable[[Handle], _T], handle: Handle) -> _T | None:
    """The answer, or None. Refusals are not remembered, as MIG devices come and go; GONE and DRIVER are raised."""
    try:
        return question(handle)
    except NvmlError as refusal:
        if refusal.code in nvml_errors.GONE or refusal.code in nvml_errors.DRIVER:
            raise
        return None


def _users(question: Callable[[Handle], list[object]], handle: Handle) -> tuple[User, ...]:
    found = []
    for each in nvml.ask(question, handle):
        pid, used = int(getattr(each, "pid", 0)), getattr(each, "usedGpuMemory", None)
        instance = getattr(each, "gpuInstanceId", None)
        memory = int(used) if used is not None and 0 <= used <= _BYTES_MAX else None
        part = int(instance) if instance is not None and 0 <= instance < _PARTS_MAX else None
        if pid > 0:
            found.append(User(pid, memory, part))
    return tuple(found)


def _reasons(mask: int) -> tuple[str, ...]:
    named = tuple(name for bits, name in _THROTTLE if mask & bits)
    bare = mask & pynvml.nvmlClocksEventReasonHwSlowdown and not mask & _HW_EXPLAINED
    return (*named, "hardware") if bare else named
