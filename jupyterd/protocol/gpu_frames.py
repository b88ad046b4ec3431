"""GPU frames, from the sampler to the supervisor and the history: one JSON object a line. Unknown is None, never 0."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from jupyterd.protocol import documents
from jupyterd.protocol.value import value

FORMAT = 2


@value
class GpuProcess:
    """A process that uses a GPU. Of another account's process only pid and user may be known."""

    pid: int
    memory_bytes: int | None
    utilisation: float | None
    """Per cent of the GPU's processors, mean since the details before."""
    user: str | None
    """Name of its account, or its number where it has no name."""
    kernel: str | None
    """Id of the kernel that it is, or that has started it; None: it belongs to no kernel."""
    notebook: str | None
    """Absolute path of the kernel's notebook; None: no kernel, or a kernel without a notebook."""
    command: str | None
    """The program's name, as "python" (comm, proc_pid_comm(5))."""
    mig: int | None = None
    """GPU instance that it runs in, where the GPU is divided."""


@value
class Mig:
    """A MIG device: part of a divided GPU. NVML has no utilisation of it."""

    index: int
    uuid: str
    name: str
    memory_used_bytes: int | None
    memory_total_bytes: int | None
    instance: int | None = None
    """GPU instance id, as in GpuProcess.mig."""


@value
class Xid:
    """An error that the driver has reported since the last frame."""

    code: int
    at: float
    """Unix seconds."""
    pid: int | None = None
    """Pid of the process that it happened to, where the kernel's log has it."""


@value
class Gpu:
    """One GPU since the last frame; None: unknown. The details, asked once a minute, are the last answers."""

    index: int
    uuid: str
    name: str
    utilisation_mean: float | None
    """Per cent."""
    utilisation_max: float | None
    memory_used_bytes: int | None
    memory_total_bytes: int | None
    temperature_c: int | None
    power_w: float | None
    """Mean since the last frame where there is an energy counter, otherwise of the moment."""
    trouble: str | None
    """None, or one sentence: "lost", "needs a reset"."""
    asleep: bool = False
    """In runtime suspend (laptops): not asked, so that it is not woken; `trouble` is None."""
    utilisation_p95: float | None = None
    """95 % of the driver's own samples lie at or below it."""
    energy_j: float | None = None
    """Joules since the last frame; None without a counter, or when it was reset because the driver was loaded again."""
    clock_sm_mhz: int | None = None
    throttle: tuple[str, ...] | None = None
    """Why the clocks are held down, words of THROTTLE; idleness is not listed."""
    ecc_uncorrected: int | None = None
    """Memory errors that could not be corrected, since the driver was loaded."""
    remap_pending: bool | None = None
    """A row is replaced at the next reset."""
    remap_failed: bool | None = None
    """No spare row is left: the card should be replaced."""
    recovery: str | None = None
    """The recovery action that the driver asks for, a word of RECOVERY."""
    xids: tuple[Xid, ...] = ()
    processes: tuple[GpuProcess, ...] | None = None
    mig: tuple[Mig, ...] = ()
    """The MIG devices of a divided GPU; (): it is not divided."""


THROTTLE = ("power-cap", "thermal", "power-brake", "hardware", "sync", "applications")
"""The words of Gpu.throttle. "thermal" is heat, "power-brake" and "hardware" come from the board or the power supply,
"sync" and "applications" were requested by a user.
"""
RECOVERY = ("none", "reset", "reboot", "drain", "drain-and-reset", "imex", "bus-reset", "system-reboot")
"""The words of Gpu.recovery: nvmlDeviceGpuRecoveryAction_t in nvml.h, in its order."""


@value
class GpuKernel:
    """A kernel whose processes hold memory of a GPU."""

    id: str
    cpu_s: float | None
    """Processor seconds that it has used since it began, with all processes that it started."""


@value
class Frame:
    """One sample of all GPUs. `trouble` is None, or why NVML gives nothing, with `advice` beside it."""

    gpus: tuple[Gpu, ...]
    trouble: str | None
    advice: str | None
    at: float = 0.0
    """Unix seconds; 0: unknown."""
    span_s: float | None = None
    """Seconds since the frame before; None in the first one."""
    driver: str | None = None
    """Version of the running driver, such as "550.54.15"."""
    foreseen: str | None = None
    """None, or one sentence about a failure to come: the library on disk does not fit the running driver."""
    pid: int | None = None
    """The sampler's pid. None: the frame is the relay's, which knows nothing about GPUs."""
    started: int | None = None
    """The sampler's start time: field 22 of /proc/PID/stat."""
    kernels: tuple[GpuKernel, ...] | None = None
    """None: not measured this time."""


def encode(frame: Frame) -> bytes:
    """The frame as one line, newline included."""
    return json.dumps({"format": FORMAT, **asdict(frame)}, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Frame:
    """The frame in one line. ValueError for anything else."""
    try:
        document = documents.document(line)
        if document.pop("format") != FORMAT:
            raise ValueError("another format")
        gpus = tuple(_gpu(each) for each in document.pop("gpus"))
        kernels = document.pop("kernels", None)  # a sampler of yesterday may run on
        kernels = None if kernels is None else tuple(GpuKernel(**each) for each in kernels)
        return Frame(gpus=gpus, kernels=kernels, **document)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not a frame: {line[:80]!r}") from error


def _gpu(document: dict[str, Any]) -> Gpu:
    document.pop("remapped_rows", None)  # written by samplers of before
    throttle, processes = document.pop("throttle"), document.pop("processes")
    return Gpu(
        throttle=None if throttle is None else tuple(throttle),
        processes=None if processes is None else tuple(GpuProcess(**each) for each in processes),
        xids=tuple(Xid(**each) for each in document.pop("xids")),
        mig=tuple(Mig(**each) for each in document.pop("mig")),
        **document,
    )
