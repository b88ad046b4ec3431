"""`python -I -m jupyterd.recorder JSON`: one process for each state directory. JSON: recorder_channel.RecorderPaths.

A recorder of an earlier version that becomes this one gives positional arguments.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
from dataclasses import asdict, replace

from jupyterd.linux import proc
from jupyterd.protocol import spool
from jupyterd.protocol.recorder_channel import RecorderPaths
from jupyterd.recorder import loop


def main() -> int:
    """0: it ended on purpose, or another recorder is there. ValueError for other arguments."""
    paths = RecorderPaths.decode(sys.argv[1:])
    os.umask(0o077)
    for each in (paths.sockets, paths.spool):
        each.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(paths.spool / spool.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return 0
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps(asdict(proc.this_process())).encode(), 0)
    recorder = loop.begin(paths, sys.executable, _wake())
    try:
        recorder.run()
    except loop.HandOver as successor:
        recorder.close()
        known = replace(paths, max_bytes=recorder.max_bytes)  # earlier versions keep no bound
        argv = [successor.python, "-I", "-m", "jupyterd.recorder", *known.positional()]
        os.execv(successor.python, argv)  # noqa: S606 - another version of this program
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
