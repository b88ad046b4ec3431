"""The sampler's process: one frame a beat on standard output, until that is closed or SIGTERM comes.

Started by the supervisor with command.py's argv; it knows nobody. Neighbour: sampler.py makes the frames.
"""

from __future__ import annotations

import math
import os
import select
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from jupyterd.gpu.asked import parse
from jupyterd.gpu.attribution import Attribution
from jupyterd.gpu.sampler import Sampler
from jupyterd.wire import frames, lineage

_STDOUT = 1
_NICE = 10
_OOM_SCORE = 500
_USAGE = 2
_USAGE_TEXT = (
    b"usage: python -I -m jupyterd.gpu --every SECONDS [--details-every SECONDS] "
    b"[--records DIRECTORY --sessions FILE --notebooks DIRECTORY]\n"
)


def main(arguments: list[str]) -> int:
    """Run for ever. 0: nobody listens any more; 2: wrong arguments."""
    lineage.die_with_parent()
    try:
        asked = parse(arguments)
    except ValueError:
        os.write(2, _USAGE_TEXT)
        return _USAGE
    every_s = asked.every_s
    _be_humble()
    os.set_blocking(_STDOUT, True)  # half a frame would spoil the next one
    sampler = Sampler(Attribution(asked.records, asked.sessions, asked.notebooks), asked.details_every_s)
    beat_at = time.monotonic()
    while True:
        # A handler in Python would wait for a call that hangs in the driver; the kernel's own default does not.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        frame = sampler.beat(time.monotonic(), time.time())
        signal.signal(signal.SIGTERM, _leave)
        if not _write(frames.encode(frame)):
            return 0
        now = time.monotonic()
        if now >= beat_at:
            beat_at += every_s * (math.floor((now - beat_at) / every_s) + 1)  # beats that a slow call missed are lost
        again_at = sampler.again_at
        until = beat_at if again_at is None or again_at <= now else min(beat_at, again_at)
        if _closed_before(until):
            return 0
        if sampler.fresh and again_at is not None and time.monotonic() >= again_at:
            argv = [sys.executable, "-I", "-m", "jupyterd.gpu", *arguments]
            os.execv(sys.executable, argv)  # noqa: S606 - this very program anew, with the library that is there now


def _be_humble() -> None:
    """Behind everybody for the processor, before everybody but kernels when memory runs out (proc(5))."""
    os.setpriority(os.PRIO_PROCESS, 0, max(_NICE, os.getpriority(os.PRIO_PROCESS, 0)))
    try:
        Path("/proc/self/oom_score_adj").write_text(f"{_OOM_SCORE}", "ascii")
    except OSError:
        return  # a container may forbid it, and nothing depends on it


def _write(line: bytes) -> bool:
    while line:
        try:
            line = line[os.write(_STDOUT, line) :]
        except BrokenPipeError:
            return False
    return True


def _closed_before(until: float) -> bool:
    """Wait; True as soon as nobody reads our output any more (poll(2): POLLERR needs no asking for)."""
    poll = select.poll()
    poll.register(_STDOUT, 0)
    wait_s = max(0.0, until - time.monotonic())
    return bool(poll.poll(math.ceil(wait_s * 1000)))


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """At once: the library's own tidying at exit may block in the driver, and the kernel tidies anyway."""
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
