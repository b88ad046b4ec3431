"""What the sampler says: one JSON object a line, versioned. Absent is None, never 0.

The sampler writes it, the supervisor and the history read it; it knows neither.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from jupyterd.protocol.value import value

FORMAT = 2


@value
class GpuProcess:
    """A process that uses a GPU. One of another account may keep all to itself but its pid and user."""

    pid: int
    memory_bytes: int | None
    utilisation: float | None
    """Per cent of the GPU's processors, mean since the last slow sample."""
    user: str | None
    """Name of its account, or its number where it has no name."""
    kernel: str | None
    """Id of the kernel that it is, or that started it; None: not one of ours."""
    notebook: str | None
    """Absolute path of the kernel's notebook; None: not ours, or a kernel that no notebook holds."""
    command: str | None
    """The program's name, as "python" (comm, proc_pid_comm(5))."""
    mig: int | None = None
    """GPU instance that it runs in, where the GPU is divided."""


@value
class Mig:
    """One part of a divided GPU. NVML tells no utilisation of parts."""

    index: int
    uuid: str
    name: str
    memory_used_bytes: int | None
    memory_total_bytes: int | None
    instance: int | None = None
    """GPU instance id, as in Process.mig."""


@value
class Xid:
    """An error that the driver has reported since the last frame."""

    code: int
    at: float
    """Unix seconds."""
    pid: int | None = None
    """The process that it happened to, where the kernel's log says so."""


@value
class Gpu:
    """One GPU over the time since the last frame; None is "unknown". What is asked seldom is the last answer."""

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
    """A laptop's GPU that the kernel has put to sleep: not asked, so as not to wake it, and no trouble."""
    utilisation_p95: float | None = None
    """95 % of the driver's own samples lie at or below it."""
    energy_j: float | None = None
    """Used since the last frame; None when the counter began anew (the driver was loaded again) or there is none."""
    clock_sm_mhz: int | None = None
    throttle: tuple[str, ...] | None = None
    """Why the clocks are held down, of THROTTLE; idleness is no reason here."""
    ecc_uncorrected: int | None = None
    """Memory errors that could not be corrected, since the driver was loaded."""
    remap_pending: bool | None = None
    """A row is replaced at the next reset."""
    remap_failed: bool | None = None
    """No spare row is left: the card should be replaced."""
    recovery: str | None = None
    """What the driver asks for, of RECOVERY."""
    xids: tuple[Xid, ...] = ()
    processes: tuple[GpuProcess, ...] | None = None
    mig: tuple[Mig, ...] = ()
    """The parts of a divided GPU; empty: it is whole."""


THROTTLE = ("power-cap", "thermal", "power-brake", "hardware", "sync", "applications")
"""What may be in Gpu.throttle. "thermal" is heat, "power-brake" and "hardware" come from the board or the power supply,
"sync" and "applications" were wished for by somebody.
"""
RECOVERY = ("none", "reset", "reboot", "drain", "drain-and-reset", "imex", "bus-reset", "system-reboot")
"""What may be in Gpu.recovery: nvmlDeviceGpuRecoveryAction_t in nvml.h, in its order."""


@value
class GpuKernel:
    """A kernel whose processes hold memory of a GPU."""

    id: str
    cpu_s: float | None
    """Processor time that it has used since it began, with all that it started."""


@value
class Frame:
    """One sample of all GPUs. `trouble` is None, or why NVML gives nothing, with `advice` beside it."""

    gpus: tuple[Gpu, ...]
    trouble: str | None
    advice: str | None
    at: float = 0.0
    """Unix seconds; 0: nobody said."""
    span_s: float | None = None
    """Since the frame before; None in the first one."""
    driver: str | None = None
    """Its version, as "550.54.15"."""
    foreseen: str | None = None
    """None, or one sentence about what will go wrong later: the library on disk is not the running driver's."""
    pid: int | None = None
    """The sampler's. None: the relay speaks, which knows nothing of GPUs."""
    started: int | None = None
    """The sampler's, as snapshot.Process.started."""
    kernels: tuple[GpuKernel, ...] | None = None
    """None: not asked this time."""


def encode(frame: Frame) -> bytes:
    """One line, newline included."""
    return json.dumps({"format": FORMAT, **asdict(frame)}, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Frame:
    """One line back; ValueError says what is wrong with it."""
    try:
        document = json.loads(line)
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
