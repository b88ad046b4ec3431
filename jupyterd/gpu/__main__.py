"""The sampler's process: one frame a beat to whoever reads, until SIGTERM comes or nobody has read for long.

Started by the relay with command.py's argv.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from jupyterd.gpu.arguments import parse
from jupyterd.gpu.attribution import Attribution
from jupyterd.gpu.frame_server import Output, Readers
from jupyterd.gpu.keeping import Keeper
from jupyterd.gpu.sampler import Sampler
from jupyterd.protocol import gpu_frames

_NICE = 10
_OOM_SCORE = 500
_USAGE = 2
_USAGE_TEXT = (
    b"usage: python -I -m jupyterd.gpu --every SECONDS [--details-every SECONDS] "
    b"[--records DIRECTORY] [--sessions FILE] [--notebooks DIRECTORY] [--lock FILE --socket PATH] [--version TEXT] "
    b"[--history FILE] [--history-every SECONDS] [--loads yes]\n"
)


def main(arguments: list[str]) -> int:
    """Run for ever. 0: nobody listens any more; 2: wrong arguments."""
    try:
        asked = parse(arguments)
    except ValueError:
        os.write(2, _USAGE_TEXT)
        return _USAGE
    every_s = asked.every_s
    _be_humble()
    try:
        readers = Output() if asked.places is None else Readers(asked.places, tuple(arguments))
    except BlockingIOError:
        return 0  # another sampler does it
    attribution = Attribution(asked.records, asked.sessions, asked.notebooks)
    sampler = Sampler(attribution, asked.details_every_s, with_loads=asked.loads)
    keeper = None if asked.history is None else Keeper(asked.history, asked.history_every_s, _complain)
    beat_at = time.monotonic()
    while True:
        # A handler in Python would wait for a call that hangs in the driver; the kernel's own default does not.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        frame = sampler.beat(time.monotonic(), time.time())
        signal.signal(signal.SIGTERM, _leave)
        if not readers.send(gpu_frames.encode(frame)):
            break
        if keeper is not None:
            keeper.take(frame)
        now = time.monotonic()
        if now >= beat_at:
            beat_at += every_s * (math.floor((now - beat_at) / every_s) + 1)  # beats that a slow call missed are lost
        again_at = sampler.again_at
        until = beat_at if again_at is None or again_at <= now else min(beat_at, again_at)
        if not readers.wait(until):
            break
        if sampler.fresh and again_at is not None and time.monotonic() >= again_at:
            readers.hand_on()
            argv = [sys.executable, "-I", "-m", "jupyterd.gpu", *arguments]
            os.execv(sys.executable, argv)  # noqa: S606 - this very program anew, with the library that is there now
    readers.close()
    return 0


def _complain(sentence: str) -> None:
    os.write(2, f"{sentence}\n".encode())


def _be_humble() -> None:
    """Behind everybody for the processor, before everybody but kernels when memory runs out (proc(5))."""
    os.setpriority(os.PRIO_PROCESS, 0, max(_NICE, os.getpriority(os.PRIO_PROCESS, 0)))
    try:
        Path("/proc/self/oom_score_adj").write_text(f"{_OOM_SCORE}", "ascii")
    except OSError:
        return  # a container may forbid it, and nothing depends on it


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """At once: the library's own tidying at exit may block in the driver, and the kernel tidies anyway."""
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
