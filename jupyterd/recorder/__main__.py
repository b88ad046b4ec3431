"""`python -I -m jupyterd.recorder JSON`: one process for each state directory. JSON: recorder_channel.RecorderPaths.

A recorder of an earlier version that becomes this one gives positional arguments.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from dataclasses import replace

from jupyterd.linux import kept, proc
from jupyterd.protocol import spool
from jupyterd.protocol.recorder_channel import RecorderPaths
from jupyterd.recorder import loop
from jupyterd.recorder.lock import Lock

_AGAIN_S = 3.0
"""Between two attempts to begin while the disk is full."""


def main() -> int:
    """0: it ended on purpose, or another recorder is there. ValueError for other arguments."""
    paths = RecorderPaths.decode(sys.argv[1:])
    os.umask(0o077)
    proc.raise_open_files_limit()  # some ten for each kernel with absent tabs; a user manager gives 1,024
    wake = _wake()
    while True:
        try:
            recorder = _begun(paths, wake)
        except BlockingIOError:
            return 0
        if recorder is None:  # SIGTERM
            return 0
        try:
            recorder.run()
        except loop.HandOver as successor:
            recorder.close()
            known = replace(paths, max_bytes=recorder.max_bytes)  # earlier versions keep no bound
            argv = [successor.python, "-I", "-m", "jupyterd.recorder", *known.positional()]
            os.execv(successor.python, argv)  # noqa: S606 - another version of this program
        except loop.PlaceLost as error:
            kept.say(f"{error}; the recorder starts over")
            recorder.close()
            continue
        recorder.close()
        return 0


def _begun(paths: RecorderPaths, wake: int) -> loop.Recorder | None:
    """A recorder that listens. While its directories, its lock or its socket cannot be made (a full disk) it waits, so
    that nobody has to start it again and again; None: SIGTERM came. BlockingIOError: another recorder is there.
    """
    told = ""
    while True:
        try:
            return _begun_at_once(paths, wake)
        except BlockingIOError:
            raise
        except OSError as error:
            if str(error) != told:
                told = str(error)
                kept.say(f"kernels are not recorded until this is resolved: {kept.unwritable(error)}")
        if select.select([wake], [], [], _AGAIN_S)[0]:
            return None


def _begun_at_once(paths: RecorderPaths, wake: int) -> loop.Recorder:
    for each in (paths.sockets, paths.spool):
        if not each.is_dir():  # it may be a link to another disk
            kept.directory(each)
    with contextlib.ExitStack() as on_error:
        lock = Lock(paths.spool / spool.LOCK)
        on_error.callback(lock.close)
        recorder = loop.begin(paths, lock, sys.executable, wake)
        on_error.pop_all()
        on_error.callback(recorder.close)
        recorder.listen()
        on_error.pop_all()
    return recorder


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
