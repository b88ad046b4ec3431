"""Reads what the planner and the sampler relay write to their standard output, with a bound on the length."""

from __future__ import annotations

import os
from dataclasses import replace

from jupyterd.core.events import FrameCame, PlanMade
from jupyterd.linux.lines import Lines
from jupyterd.protocol import gpu_frames, plan
from jupyterd.supervisor.poller import READ, Poller
from jupyterd.supervisor.process import End

_READ_BYTES = 1 << 20
"""The most that a pipe holds (pipe(7)), so one turn reads everything. The unused part of the buffer costs no memory."""
_DOCUMENT_MOST_BYTES = 4 << 20
_FRAME_MOST_BYTES = 1 << 19


class Pipe:
    """Owns the reading end."""

    def __init__(self, poller: Poller, fd: int) -> None:
        self._poller = poller
        self._fd: int | None = fd
        os.set_blocking(fd, False)

    def read(self) -> bytes:
        """The bytes that have arrived; b"" if none have, or at the end of the stream."""
        if self._fd is None:
            return b""
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return b""
        if not data:
            self.close()
        return data

    def close(self) -> None:
        """Close the reading end."""
        if self._fd is not None:
            self._poller.unregister(self._fd)
            os.close(self._fd)
            self._fd = None


class Document:
    """The planner's answer: one document, complete when the process has ended."""

    def __init__(self, poller: Poller, fd: int, watchdog_s: float) -> None:
        """`watchdog_s` goes into the plan: the planner cannot know who watches the supervisor."""
        self._pipe = Pipe(poller, fd)
        self._watchdog_s = watchdog_s
        self._data = b""
        self.close = self._pipe.close
        poller.register(fd, READ, self.turn)

    def turn(self) -> tuple[()]:
        """Read what has arrived."""
        self._data += self._pipe.read()
        if len(self._data) > _DOCUMENT_MOST_BYTES:
            self._pipe.close()
        return ()

    def answer(self, end: End) -> PlanMade:
        """The plan, or the problem, after the planner has ended as `end` says."""
        if len(self._data) > _DOCUMENT_MOST_BYTES:
            return PlanMade("the planner's answer is too long")
        if not self._data.strip():
            how = f"exit code {end.code}" if end.signal is None else end.signal
            return PlanMade(f"the planner ended without an answer ({how}); see: journalctl -t jupyterd-planner")
        try:
            made = plan.decode(self._data)
        except ValueError as error:
            return PlanMade(str(error))
        return PlanMade(with_watchdog(made, self._watchdog_s) if isinstance(made, plan.Plan) else made)


class FramePipe:
    """The sampler's frames, one per line."""

    def __init__(self, poller: Poller, fd: int) -> None:
        self._pipe = Pipe(poller, fd)
        self._lines = Lines(_FRAME_MOST_BYTES)
        self.close = self._pipe.close
        poller.register(fd, READ, self.turn)

    def turn(self) -> list[FrameCame]:
        """The frames that are complete now; FrameCame(None) for each line that is not a frame."""
        return [FrameCame(_frame(line)) for line in self._lines.feed(self._pipe.read())]


def _frame(line: bytes | None) -> gpu_frames.Frame | None:
    try:
        return gpu_frames.decode(line or b"")
    except ValueError:
        return None


def with_watchdog(made: plan.Plan, watchdog_s: float) -> plan.Plan:
    """The plan with the watchdog's period, which only the supervisor knows. Every plan passes here, so that equal
    plans stay equal.
    """
    return replace(made, policy=replace(made.policy, watchdog_s=watchdog_s))
