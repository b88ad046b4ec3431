"""Which GPU a new kernel sees: the decision, from the sampler's last frame and what earlier kernels were given."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jupyterd.protocol import gpu_frames
from jupyterd.protocol.gpu_frames import Frame

VARIABLE = "CUDA_VISIBLE_DEVICES"
NONE = "-1"
"""An index that no GPU has hides all of them (CUDA C++ Programming Guide, "CUDA Environment Variables")."""
_ALIKE_BYTES = 1 << 30
"""A kernel that was started a moment ago has not filled its GPU yet: so much less free memory is the same."""
_ANSWER_S = 2.0
_FRAME_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Device:
    uuid: str
    free_bytes: int


def freest(frame: Frame, given: Iterable[str]) -> str | None:
    """The UUID of the GPU, or of the part of a divided one, that has the most free memory; of several that have about
    the same, the one that was `given` to the fewest kernels. None: of no GPU the memory is known.
    """
    devices = _devices(frame)
    if not devices:
        return None
    most = max(each.free_bytes for each in devices)
    counts = list(given)
    alike = [each for each in devices if each.free_bytes >= most - _ALIKE_BYTES]
    return min(alike, key=lambda each: counts.count(each.uuid)).uuid


def _devices(frame: Frame) -> list[_Device]:
    found = []
    for each in frame.gpus:
        if each.trouble is not None:
            continue
        for part in each.mig or (each,):
            used, total = part.memory_used_bytes, part.memory_total_bytes
            if used is not None and total is not None:
                found.append(_Device(part.uuid, total - used))
    return found


def last_frame(path: Path) -> Frame | None:
    """What the sampler sends to every reader at once; None without a sampler, or one that is silent. Blocks for 2 s at
    most.
    """
    until, data = time.monotonic() + _ANSWER_S, b""
    with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_UNIX) as link:
        link.settimeout(_ANSWER_S)
        link.connect(str(path))
        while b"\n" not in data and len(data) < _FRAME_BYTES:
            link.settimeout(max(0.01, until - time.monotonic()))
            part = link.recv(1 << 16)
            if not part:
                return None
            data += part
        return gpu_frames.decode(data.partition(b"\n")[0])
    return None
