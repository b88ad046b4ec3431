"""What NVML's error codes mean for a person: a sentence, what to type, and when to look again.

Plain data; it does not call NVML. Codes: nvmlReturn_t in nvml.h.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

UNINITIALIZED = 1
INVALID_ARGUMENT = 2
NOT_SUPPORTED = 3
NO_PERMISSION = 4
NOT_FOUND = 6
DRIVER_NOT_LOADED = 9
TIMEOUT = 10
LIBRARY_NOT_FOUND = 12
FUNCTION_NOT_FOUND = 13
GPU_IS_LOST = 15
RESET_REQUIRED = 16
LIB_RM_VERSION_MISMATCH = 18
NO_DATA = 21
ARGUMENT_VERSION_MISMATCH = 25
DEPRECATED = 26
GPU_NOT_FOUND = 28
UNKNOWN = 999

NEVER = frozenset(
    {INVALID_ARGUMENT, NOT_SUPPORTED, NO_PERMISSION, FUNCTION_NOT_FOUND, ARGUMENT_VERSION_MISMATCH, DEPRECATED}
)
"""This device will never answer this question: do not ask it again."""
GONE = frozenset({GPU_IS_LOST, RESET_REQUIRED})
"""This device has failed; the others may work."""
DRIVER = frozenset({UNINITIALIZED, DRIVER_NOT_LOADED, LIB_RM_VERSION_MISMATCH})
"""No question can be answered before NVML is opened again."""

_MINUTE_S = 60.0
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class NvmlProblem:
    """Why NVML cannot be used. It is opened again after `again_s` seconds, then after twice that, up to `at_most_s`."""

    text: str
    advice: str
    again_s: float = 10.0
    at_most_s: float = 5 * _MINUTE_S
    fresh: bool = False
    """Only a new process can see the cure: the loader keeps a library that it has loaded."""


NO_GPU = NvmlProblem(
    "the NVIDIA driver finds no GPU", "sudo dmesg | grep -i nvrm", again_s=_MINUTE_S, at_most_s=10 * _MINUTE_S
)
_REBOOT = "sudo dmesg | grep -i nvrm; then sudo reboot"


_DRIVER = {
    DRIVER_NOT_LOADED: NvmlProblem(
        "the NVIDIA driver is not loaded",
        "sudo modprobe nvidia; sudo dmesg | grep -i nvrm",
    ),
    LIBRARY_NOT_FOUND: NvmlProblem(
        "the NVIDIA driver's library cannot be loaded ({said})",
        "install the library of the same version as the driver (on Debian: sudo apt install libnvidia-ml1)",
        again_s=_MINUTE_S,
        at_most_s=_HOUR_S,
    ),
    LIB_RM_VERSION_MISMATCH: NvmlProblem(
        "the NVIDIA driver that runs and its library are of different versions{both}, as after an upgrade",
        "sudo reboot",
        again_s=10 * _MINUTE_S,
        at_most_s=10 * _MINUTE_S,
        fresh=True,
    ),
    FUNCTION_NOT_FOUND: NvmlProblem(
        "the NVIDIA driver's library is too old ({said})",
        "install a newer NVIDIA driver",
        again_s=10 * _MINUTE_S,
        at_most_s=10 * _MINUTE_S,
        fresh=True,
    ),
    GPU_IS_LOST: NvmlProblem("a lost GPU keeps the NVIDIA driver from starting", _REBOOT, again_s=_MINUTE_S),
    RESET_REQUIRED: NvmlProblem(
        "a GPU that needs a reset keeps the NVIDIA driver from starting", _REBOOT, again_s=_MINUTE_S
    ),
    GPU_NOT_FOUND: NO_GPU,
    NO_PERMISSION: NvmlProblem("this account may not use the NVIDIA driver", "ls -l /dev/nvidia*", again_s=_MINUTE_S),
}


def of_driver(code: int, said: str, mismatch: tuple[str, str] | None = None) -> NvmlProblem:
    """What a failure of NVML as a whole means. `said` is the message of the library or the loader, `mismatch` the
    versions of driver and library where they are known to differ.
    """
    found = _DRIVER.get(code)
    if found is None:
        return NvmlProblem(f"the NVIDIA driver does not answer ({said}, NVML error {code})", "nvidia-smi")
    both = f" ({mismatch[0]} and {mismatch[1]})" if mismatch is not None else ""
    return replace(found, text=found.text.replace("{said}", said).replace("{both}", both))


def of_gpu(code: int, said: str) -> str:
    """What an error of one GPU means: a phrase to follow the GPU's name."""
    if code == GPU_IS_LOST:
        return "the GPU is lost (fallen off the bus): reboot"
    if code == RESET_REQUIRED:
        return "the GPU needs a reset: end what uses it, then sudo nvidia-smi --gpu-reset, or reboot"
    return f"the driver gives no figures ({said}, NVML error {code})"


UNSEEN = "the driver does not see the GPU any more: reboot"
