"""The sampler's process: one frame a beat to whoever reads, until SIGTERM comes or nobody has read for 15 minutes.

`python -I -m jupyterd.gpu ARGUMENTS`, one JSON object: the fields of protocol/sampler_lock.py's SamplerArguments.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from jupyterd.gpu.attribution import Attribution
from jupyterd.gpu.frame_server import Output, Readers
from jupyterd.gpu.history import History
from jupyterd.gpu.sampler import Sampler
from jupyterd.protocol import gpu_frames, sampler_lock

_NICE = 10
_OOM_SCORE = 500
_USAGE = 2
_USAGE_TEXT = b"""usage: python -I -m jupyterd.gpu '{"every_s": SECONDS, ...}' (SamplerArguments as JSON)\n"""


def main(arguments: list[str]) -> int:
    """Run until nobody listens any more. Returns the exit status: 0, or 2 for wrong arguments."""
    try:
        (text,) = arguments
        asked = sampler_lock.decode_arguments(text)
    except ValueError:
        os.write(2, _USAGE_TEXT)
        return _USAGE
    every_s = asked.every_s
    _yield_to_others()
    try:
        readers = Output() if asked.paths is None else Readers(asked.paths, asked)
    except BlockingIOError:
        return 0  # another sampler holds the lock
    attribution = Attribution(asked.records, asked.sessions, asked.notebooks)
    sampler = Sampler(attribution, asked.details_every_s, with_cpu_time=asked.cpu_time)
    history = None if asked.history is None else History(asked.history, _complain, asked.history_every_s)
    beat_at = time.monotonic()
    while True:
        # A handler in Python would wait for a call that hangs in the driver; the kernel's own default does not.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        frame = sampler.beat(time.monotonic(), time.time())
        signal.signal(signal.SIGTERM, _leave)
        if not readers.send(gpu_frames.encode(frame)):
            break
        if history is not None:
            history.take(frame)  # after it was sent: a slow disk delays only the next frame
        now = time.monotonic()
        if now >= beat_at:
            beat_at += every_s * (math.floor((now - beat_at) / every_s) + 1)  # beats that a slow call missed are lost
        again_at = sampler.again_at
        until = beat_at if again_at is None or again_at <= now else min(beat_at, again_at)
        if not readers.wait(until):
            break
        if sampler.fresh and again_at is not None and time.monotonic() >= again_at:
            readers.hand_on()
            argv = sampler_lock.program(asked)
            os.execv(argv[0], argv)  # noqa: S606 - the same program again, with the library that is on disk now
    readers.close()
    return 0


def _complain(sentence: str) -> None:
    os.write(2, f"{sentence}\n".encode())


def _yield_to_others() -> None:
    """Nice for the processor; killed before everything but kernels when memory runs out (proc_pid_oom_score_adj(5))."""
    os.setpriority(os.PRIO_PROCESS, 0, max(_NICE, os.getpriority(os.PRIO_PROCESS, 0)))
    try:
        Path("/proc/self/oom_score_adj").write_text(f"{_OOM_SCORE}", "ascii")
    except OSError:
        return  # a container may forbid it, and nothing depends on it


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """Exit at once: the library's exit handlers may block in the driver, and the kernel frees everything anyway."""
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
