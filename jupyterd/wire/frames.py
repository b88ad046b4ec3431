"""What the sampler says on its standard output: one JSON object a line, versioned. Absent is None, never 0."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU over the time since the last frame; None is "unknown"."""

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
    trouble: str | None
    """None, or one sentence: "lost", "needs a reset"."""
    asleep: bool = False
    """A laptop's GPU that the kernel has put to sleep: not asked, so as not to wake it, and no trouble."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One sample of all GPUs. `trouble` is None, or why NVML gives nothing, with `advice` beside it."""

    gpus: tuple[Gpu, ...]
    trouble: str | None
    advice: str | None


def encode(frame: Frame) -> bytes:
    """One line, newline included."""
    return json.dumps({"format": FORMAT, **asdict(frame)}).encode() + b"\n"


def decode(line: bytes) -> Frame:
    """One line back; ValueError says what is wrong with it."""
    try:
        document = json.loads(line)
        if document.pop("format") != FORMAT:
            raise ValueError("another format")
        gpus = tuple(Gpu(**each) for each in document.pop("gpus"))
        return Frame(gpus=gpus, **document)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not a frame: {line[:80]!r}") from error
