"""The only caller of NVML: open, close, and the questions of each beat. Every question raises NvmlError.

Implausible answers are errors too. Any call may block for ever in the driver: only the sampler's process imports this.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pynvml

from jupyterd.gpu import nvml_errors
from jupyterd.gpu.driver import ELSEWHERE, LIBRARY

_T = TypeVar("_T")
Handle = Any
"""NVML's opaque device handle; invalid after close_nvml()."""

_PER_CENT_MAX = 100
_WATTS_MAX = 20_000.0
_BYTES_MAX = 1 << 50


class NvmlError(Exception):
    """NVML answered with an error, or with nonsense. `code` is an nvmlReturn_t, `said` its text."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(f"{said} ({code})")
        self.code = code
        self.said = said


@dataclass(frozen=True, slots=True)
class Utilisation:
    """Per cent over the driver's samples since the last call; `seen` (driver's microseconds) is for the next call."""

    mean: float
    peak: float
    p95: float
    seen: int


def open_nvml() -> int:
    """Load the library, start NVML, return the number of GPUs. NvmlError LIBRARY_NOT_FOUND has the loader's message."""
    _load()
    ask(pynvml.nvmlInit)
    return int(ask(pynvml.nvmlDeviceGetCount))


def _load() -> None:
    """By its name, else from ELSEWHERE: once loaded, the loader finds it by its name too (dlopen(3): same soname)."""
    try:
        ctypes.CDLL(LIBRARY)
    except OSError as error:
        for directory in ELSEWHERE:
            try:
                ctypes.CDLL(f"{directory}/{LIBRARY}")
            except OSError:
                continue
            return
        raise NvmlError(nvml_errors.LIBRARY_NOT_FOUND, str(error)) from error


def driver_version() -> str:
    """Version of the running driver, such as "550.54.15"."""
    return text_of(ask(pynvml.nvmlSystemGetDriverVersion))


def close_nvml() -> None:
    """Release the devices, as nvidia-smi --gpu-reset and rmmod need it. Errors are ignored."""
    try:
        ask(pynvml.nvmlShutdown)
    except NvmlError:
        return


def device(index: int) -> Handle:
    """The handle of the GPU with this index in NVML's numbering, which is that of nvidia-smi."""
    return ask(pynvml.nvmlDeviceGetHandleByIndex, index)


def name(handle: Handle) -> str:
    """The model, such as "NVIDIA GeForce RTX 4090"."""
    return text_of(ask(pynvml.nvmlDeviceGetName, handle))


def uuid(handle: Handle) -> str:
    """The GPU's unchanging id, such as "GPU-8a1f..."."""
    return text_of(ask(pynvml.nvmlDeviceGetUUID, handle))


def bus(handle: Handle) -> str:
    """The device's name in /sys/bus/pci/devices: NVML writes eight digits of domain, sysfs four."""
    domain, _, rest = text_of(ask(pynvml.nvmlDeviceGetPciInfo, handle).busId).lower().partition(":")
    return f"{domain[-4:]}:{rest}"


def utilisation_history(handle: Handle, seen: int) -> Utilisation:
    """Utilisation from the driver's sample buffer, so that no peak is missed. NvmlError NOT_FOUND: no new samples."""
    kind, samples = ask(pynvml.nvmlDeviceGetSamples, handle, pynvml.NVML_GPU_UTILIZATION_SAMPLES, seen)
    new = [each for each in samples if each.timeStamp > seen]
    values = [value for value in (value_of(kind, each.sampleValue) for each in new) if 0 <= value <= _PER_CENT_MAX]
    if not values:
        raise NvmlError(nvml_errors.NOT_FOUND, "no samples")
    return Utilisation(
        sum(values) / len(values), max(values), _p95(sorted(values)), max(each.timeStamp for each in new)
    )


def _p95(ordered: Sequence[float]) -> float:
    """95th percentile by nearest rank: one of the values."""
    return ordered[math.ceil(0.95 * len(ordered)) - 1]


def utilisation_now(handle: Handle) -> float:
    """Per cent over the driver's last sampling period, 1/6 to 1 s."""
    return float(within(ask(pynvml.nvmlDeviceGetUtilizationRates, handle).gpu, _PER_CENT_MAX))


def memory(handle: Handle) -> tuple[int, int]:
    """(bytes used, bytes in all); the driver's own reserve does not count as used (drivers since 510)."""
    return _memory(ask(pynvml.nvmlDeviceGetMemoryInfo, handle, pynvml.nvmlMemory_v2))


def memory_v1(handle: Handle) -> tuple[int, int]:
    """(bytes used, bytes in all) from drivers before 510, where the reserve counts as used."""
    return _memory(ask(pynvml.nvmlDeviceGetMemoryInfo, handle))


def energy_j(handle: Handle) -> float:
    """Joules since the driver was loaded. A smaller value than before: the driver was loaded again."""
    return float(ask(pynvml.nvmlDeviceGetTotalEnergyConsumption, handle)) / 1000


def power_w(handle: Handle) -> float:
    """Watts now, or over the last second, depending on the model."""
    return float(within(ask(pynvml.nvmlDeviceGetPowerUsage, handle) / 1000, _WATTS_MAX))


def ask(function: Callable[..., _T], *arguments: object) -> _T:
    """The result of `function(*arguments)`. NvmlError for every error, also for answers that cannot be decoded."""
    try:
        return function(*arguments)
    except pynvml.NVMLError as error:
        # str(error) asks the library for its text, and may fail or be bytes; the code says enough then
        raise NvmlError(int(error.value), text_of(_said(error))) from error
    except (UnicodeDecodeError, ValueError, TypeError, ctypes.ArgumentError, MemoryError) as error:
        raise NvmlError(nvml_errors.UNKNOWN, f"an answer that makes no sense: {error}") from error


def _said(error: Exception) -> object:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - whatever a broken library does to its own error text, the code is known
        return "an error without a text"


def text_of(value: object) -> str:
    """The driver's text without control characters, which a terminal would obey."""
    plain = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return "".join(character for character in plain if character.isprintable()).strip()


def value_of(kind: int, value: Any) -> float:  # noqa: ANN401 - a C union, which has no type of its own
    """The member of an nvmlValue_t union that `kind` (nvmlValueType_t) names."""
    members = {
        pynvml.NVML_VALUE_TYPE_DOUBLE: "dVal",
        pynvml.NVML_VALUE_TYPE_UNSIGNED_INT: "uiVal",
        pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG: "ulVal",
        pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: "ullVal",
        pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG: "sllVal",
    }
    return float(getattr(value, members.get(kind, "uiVal")))


def within(value: float, most: float) -> float:
    """`value` if it lies in [0, most]; else NvmlError UNKNOWN."""
    if not 0 <= value <= most:
        raise NvmlError(nvml_errors.UNKNOWN, f"an answer that makes no sense: {value}")
    return value


def _memory(answer: Any) -> tuple[int, int]:  # noqa: ANN401 - one of two C structures
    used, total = int(answer.used), int(answer.total)
    if not 0 < total <= _BYTES_MAX or used > total:
        raise NvmlError(nvml_errors.UNKNOWN, f"an answer that makes no sense: {used} of {total} bytes")
    return used, total
