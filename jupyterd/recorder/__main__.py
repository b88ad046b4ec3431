"""`python -I -m jupyterd.recorder SOCKETS SPOOL RECORDS MAX_BYTES`: one process for each state directory."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from jupyterd.linux import proc
from jupyterd.protocol import spool
from jupyterd.recorder import loop


def main() -> int:
    """0 in every orderly case, another recorder being there included."""
    sockets, directory, records, max_bytes = sys.argv[1:5]
    places = loop.RecorderPaths(Path(sockets), Path(directory), Path(records))
    os.umask(0o077)
    for each in (places.sockets, places.spool):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(places.spool / spool.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps(asdict(proc.this_process())).encode(), 0)
    recorder = loop.begin(places, sys.executable, int(max_bytes), _wake())
    try:
        recorder.run()
    except loop.Other as other:
        recorder.close()
        os.execv(other.python, [other.python, "-I", "-m", "jupyterd.recorder", *sys.argv[1:]])  # noqa: S606
    recorder.close()
    return 0


def _wake() -> int:
    """A descriptor that becomes readable with SIGTERM."""
    ours, theirs = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(theirs)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return ours


if __name__ == "__main__":
    sys.exit(main())
