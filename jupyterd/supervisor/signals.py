"""Signals for the supervisor itself, turned into events on the poller."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType

from jupyterd.core.events import Signal, SignalReceived
from jupyterd.supervisor.poller import READ, Poller

_MEANINGS = {signal.SIGHUP: Signal.HUP, signal.SIGTERM: Signal.TERM, signal.SIGINT: Signal.INT}
"""A HUP from a lost terminal is a reload like any other, and does no harm."""
_IGNORED = (signal.SIGPIPE, signal.SIGTTOU)
"""SIGTTOU: in the background of a terminal with `stty tostop`, a line must not stop us."""
_READ_BYTES = 256


class Signals:
    """Owns the wake-up pipe (signal.set_wakeup_fd)."""

    def __init__(self, poller: Poller, dump: Callable[[], None], child_ended: Callable[[], None] | None = None) -> None:
        """`dump` is called after SIGUSR2. `child_ended` is called after SIGCHLD; our own children have pidfds and need
        none of that.
        """
        self._dump = dump
        self._child_ended = child_ended
        self._reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in (*_MEANINGS, signal.SIGUSR2):
            signal.signal(number, _noted)
        if child_ended is not None:
            signal.signal(signal.SIGCHLD, _noted)
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        poller.register(self._reading, READ, self._turn)

    def _turn(self) -> list[SignalReceived]:
        numbers = os.read(self._reading, _READ_BYTES)
        if self._child_ended is not None and signal.SIGCHLD in numbers:
            self._child_ended()
        if signal.SIGUSR2 in numbers:
            self._dump()
        return [SignalReceived(_MEANINGS[signal.Signals(each)]) for each in numbers if each in _MEANINGS]


def _noted(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the wake-up pipe has the signal, but without a Python handler SIGINT would raise."""
