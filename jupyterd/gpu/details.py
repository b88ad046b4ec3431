"""What is asked of a GPU once a minute: processes, temperature, clocks, errors, parts.

Typed questions like those of nvml.py, through the same door; it does not know who a process is (attribution.py).
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
    """A process as NVML tells it. Its pid is the one that the driver sees."""

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
    """Processes that compute."""
    return _users(pynvml.nvmlDeviceGetComputeRunningProcesses_v3, handle)


def computing_v2(handle: Handle) -> tuple[User, ...]:
    """The same from drivers before 510."""
    return _users(pynvml.nvmlDeviceGetComputeRunningProcesses_v2, handle)


def drawing(handle: Handle) -> tuple[User, ...]:
    """Processes that draw, as a desktop."""
    return _users(pynvml.nvmlDeviceGetGraphicsRunningProcesses_v3, handle)


def drawing_v2(handle: Handle) -> tuple[User, ...]:
    """The same from drivers before 510."""
    return _users(pynvml.nvmlDeviceGetGraphicsRunningProcesses_v2, handle)


def process_utilisation(handle: Handle, seen: int) -> tuple[dict[int, float], int]:
    """Mean per cent by pid over the driver's samples since `seen`, and what `seen` is next; NOT_FOUND: no new ones."""
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
    """Degrees Celsius of the chip."""
    celsius = nvml.ask(pynvml.nvmlDeviceGetTemperatureV, handle, pynvml.NVML_TEMPERATURE_GPU)
    return int(nvml.within(celsius, _CELSIUS_MAX))


def temperature_v1(handle: Handle) -> int:
    """The same from drivers before 570."""
    celsius = nvml.ask(pynvml.nvmlDeviceGetTemperature, handle, pynvml.NVML_TEMPERATURE_GPU)
    return int(nvml.within(celsius, _CELSIUS_MAX))


def clock_sm_mhz(handle: Handle) -> int:
    """Of the processors, now."""
    return int(nvml.within(nvml.ask(pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_SM), _MEGAHERTZ_MAX))


def throttle(handle: Handle) -> tuple[str, ...]:
    """What holds the clocks down, of frames.THROTTLE."""
    return _reasons(nvml.ask(pynvml.nvmlDeviceGetCurrentClocksEventReasons, handle))


def throttle_v1(handle: Handle) -> tuple[str, ...]:
    """The same from drivers before 535."""
    return _reasons(nvml.ask(pynvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle))


def ecc_uncorrected(handle: Handle) -> int:
    """Errors of memory that could not be corrected, since the driver was loaded."""
    kinds = (pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC)
    return int(nvml.within(nvml.ask(pynvml.nvmlDeviceGetTotalEccErrors, handle, *kinds), _COUNT_MAX))


def rows(handle: Handle) -> Rows:
    """Replaced rows of memory (Ampere and later, with ECC)."""
    _, _, pending, failed = nvml.ask(pynvml.nvmlDeviceGetRemappedRows, handle)
    return Rows(bool(pending), bool(failed))


def recovery(handle: Handle) -> str:
    """What the driver asks for, of frames.RECOVERY (drivers since 550)."""
    (field,) = nvml.ask(pynvml.nvmlDeviceGetFieldValues, handle, [pynvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION])
    if field.nvmlReturn != pynvml.NVML_SUCCESS:
        raise NvmlError(int(field.nvmlReturn), "no recovery action")
    return RECOVERY[int(nvml.within(nvml.value_of(field.valueType, field.value), len(RECOVERY) - 1))]


def divided(handle: Handle) -> bool:
    """Whether the GPU is in parts (MIG)."""
    current, _ = nvml.ask(pynvml.nvmlDeviceGetMigMode, handle)
    return bool(current)


def parts(handle: Handle) -> tuple[tuple[Handle, Mig], ...]:
    """The parts of a divided GPU, with the handle of each."""
    most = int(nvml.within(nvml.ask(pynvml.nvmlDeviceGetMaxMigDeviceCount, handle), _PARTS_MAX))
    found = []
    for index in range(most):
        try:
            part = nvml.ask(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, index)
        except NvmlError as refusal:
            if refusal.code in {nvml_errors.NOT_FOUND, nvml_errors.INVALID_ARGUMENT}:
                continue  # their numbers have gaps
            raise
        used, total = _maybe(nvml.memory, part) or _maybe(nvml.memory_v1, part) or (None, None)
        uuid, name = _maybe(nvml.uuid, part) or "", _maybe(nvml.name, part) or ""
        found.append((part, Mig(index, uuid, name, used, total, _maybe(_instance, part))))
    return tuple(found)


def _instance(part: Handle) -> int:
    return int(nvml.within(nvml.ask(pynvml.nvmlDeviceGetGpuInstanceId, part), _PARTS_MAX))


def _maybe(question: Callable[[Handle], _T], handle: Handle) -> _T | None:
    """The parts are asked anew each time: they come and go, and nothing is remembered of them."""
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
