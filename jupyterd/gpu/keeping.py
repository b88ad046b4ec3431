"""Frames into the history, one span after the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jupyterd.gpu import intervals
from jupyterd.gpu.history import History
from jupyterd.protocol.gpu_frames import Frame


class Keeper:
    """A frame is taken when it has been sent: a slow disk delays no beat but the next."""

    def __init__(self, file: Path, span_s: int, tell: Callable[[str], None]) -> None:
        self._history = History(file, tell)
        self._span_s = span_s
        self._waiting: tuple[Frame, ...] = ()

    def take(self, frame: Frame) -> None:
        """With the first frame of another span the one before is kept."""
        self._waiting, over = intervals.gathered(self._waiting, frame, self._span_s)
        if over is not None:
            self._history.add(over)
