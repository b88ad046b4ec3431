"""The one door to NVML: typed questions, one kind of refusal, nothing implausible let through.

The only importer of pynvml. Any call may block for ever in the driver: only the sampler's process comes here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import pynvml

from jupyterd.gpu import trouble
from jupyterd.gpu.present import LIBRARY

_T = TypeVar("_T")
Handle = Any
"""NVML's opaque device handle; dead after close()."""

_PER_CENT_MAX = 100
_CELSIUS_MAX = 200
_WATTS_MAX = 20_000.0
_BYTES_MAX = 1 << 50


class NvmlError(Exception):
    """NVML's answer is an error, or no answer that can be true."""

    def __init__(self, code: int, said: str) -> None:
        super().__init__(f"{said} ({code})")
        self.code = code
        self.said = said


@dataclass(frozen=True, slots=True)
class Utilisation:
    """Per cent over the samples since the last question; `seen` goes back into the next one (driver's microseconds)."""

    mean: float
    peak: float
    seen: int


def open_nvml() -> int:
    """Load the library, start NVML, count the GPUs. The loader's own word says why a library cannot be loaded."""
    try:
        ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise NvmlError(trouble.LIBRARY_NOT_FOUND, str(error)) from error
    _ask(pynvml.nvmlInit)
    return int(_ask(pynvml.nvmlDeviceGetCount))


def close_nvml() -> None:
    """Give the devices back, which nvidia-smi --gpu-reset and rmmod need; a refusal changes nothing."""
    try:
        _ask(pynvml.nvmlShutdown)
    except NvmlError:
        return


def device(index: int) -> Handle:
    """By NVML's own numbering, the one of nvidia-smi."""
    return _ask(pynvml.nvmlDeviceGetHandleByIndex, index)


def name(handle: Handle) -> str:
    """As "NVIDIA GeForce RTX 4090"."""
    return _text(_ask(pynvml.nvmlDeviceGetName, handle))


def uuid(handle: Handle) -> str:
    """As "GPU-8a1f...", the same for ever."""
    return _text(_ask(pynvml.nvmlDeviceGetUUID, handle))


def bus(handle: Handle) -> str:
    """The device's name in /sys/bus/pci/devices: NVML writes eight digits of domain, sysfs four."""
    domain, _, rest = _text(_ask(pynvml.nvmlDeviceGetPciInfo, handle).busId).lower().partition(":")
    return f"{domain[-4:]}:{rest}"


def utilisation_history(handle: Handle, seen: int) -> Utilisation:
    """From the driver's own sample buffer, so that no peak is missed; NOT_FOUND when it holds nothing new."""
    kind, samples = _ask(pynvml.nvmlDeviceGetSamples, handle, pynvml.NVML_GPU_UTILIZATION_SAMPLES, seen)
    new = [each for each in samples if each.timeStamp > seen]
    values = [value for value in (_value(kind, each.sampleValue) for each in new) if 0 <= value <= _PER_CENT_MAX]
    if not values:
        raise NvmlError(trouble.NOT_FOUND, "no samples")
    return Utilisation(sum(values) / len(values), max(values), max(each.timeStamp for each in new))


def utilisation_now(handle: Handle) -> float:
    """Per cent over the driver's last sampling period, 1/6 to 1 s."""
    return float(_within(_ask(pynvml.nvmlDeviceGetUtilizationRates, handle).gpu, _PER_CENT_MAX))


def memory(handle: Handle) -> tuple[int, int]:
    """Bytes used and in all; what the driver reserves for itself is not counted as used."""
    return _memory(_ask(pynvml.nvmlDeviceGetMemoryInfo, handle, pynvml.nvmlMemory_v2))


def memory_v1(handle: Handle) -> tuple[int, int]:
    """The same from drivers before 510: the reserve counts as used."""
    return _memory(_ask(pynvml.nvmlDeviceGetMemoryInfo, handle))


def temperature(handle: Handle) -> int:
    """Degrees Celsius of the chip."""
    return int(_within(_ask(pynvml.nvmlDeviceGetTemperatureV, handle, pynvml.NVML_TEMPERATURE_GPU), _CELSIUS_MAX))


def temperature_v1(handle: Handle) -> int:
    """The same from drivers before 570."""
    return int(_within(_ask(pynvml.nvmlDeviceGetTemperature, handle, pynvml.NVML_TEMPERATURE_GPU), _CELSIUS_MAX))


def energy_j(handle: Handle) -> float:
    """Since the driver was loaded. A smaller value than before: it was loaded anew."""
    return float(_ask(pynvml.nvmlDeviceGetTotalEnergyConsumption, handle)) / 1000


def power_w(handle: Handle) -> float:
    """Now, or over the last second: it depends on the model."""
    return float(_within(_ask(pynvml.nvmlDeviceGetPowerUsage, handle) / 1000, _WATTS_MAX))


def _ask(function: Callable[..., _T], *arguments: object) -> _T:
    try:
        return function(*arguments)
    except pynvml.NVMLError as error:
        # str(error) asks the library for its text, and may fail or be bytes; the code says enough then
        raise NvmlError(int(error.value), _text(_said(error))) from error
    except (UnicodeDecodeError, ValueError, TypeError, ctypes.ArgumentError, MemoryError) as error:
        raise NvmlError(trouble.UNKNOWN, f"an answer that makes no sense: {error}") from error


def _said(error: Exception) -> object:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - whatever a broken library does to its own error text, the code is known
        return "an error without a text"


def _text(value: object) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return "".join(character for character in text if character.isprintable()).strip()


def _value(kind: int, value: Any) -> float:  # noqa: ANN401 - a C union, which has no type of its own
    members = {
        pynvml.NVML_VALUE_TYPE_DOUBLE: "dVal",
        pynvml.NVML_VALUE_TYPE_UNSIGNED_INT: "uiVal",
        pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG: "ulVal",
        pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG: "ullVal",
        pynvml.NVML_VALUE_TYPE_SIGNED_LONG_LONG: "sllVal",
    }
    return float(getattr(value, members.get(kind, "uiVal")))


def _within(value: float, most: float) -> float:
    if not 0 <= value <= most:
        raise NvmlError(trouble.UNKNOWN, f"an answer that makes no sense: {value}")
    return value


def _memory(answer: Any) -> tuple[int, int]:  # noqa: ANN401 - one of two C structures
    used, total = int(answer.used), int(answer.total)
    if not 0 < total <= _BYTES_MAX or used > total:
        raise NvmlError(trouble.UNKNOWN, f"an answer that makes no sense: {used} of {total} bytes")
    return used, total
