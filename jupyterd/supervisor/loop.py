"""The supervisor's loop: one thread, one wait, one computed deadline. Facts go to the core, effects come back.

It decides nothing: the core is an argument.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from jupyterd.core.effects import Effect, Quit
from jupyterd.core.events import DeadlineCame, Event
from jupyterd.supervisor.poller import Poller

World = TypeVar("World")
KEPT = 200
"""How many events the history holds at least."""


class Core(Protocol[World]):
    """Decides: jupyterd.core.step, or a script in a test. The world is opaque here."""

    def start(self) -> World:
        """The world before the first event."""

    def step(self, world: World, event: Event, now: float, jitter: float, /) -> tuple[World, tuple[Effect, ...]]:
        """(the world after the event, the effects to carry out). `now` is monotonic, 0 <= jitter < 1."""

    def deadline(self, world: World, /) -> float | None:
        """The monotonic time at which DeadlineCame is due; None: never."""

    def healthy(self, world: World, now: float, /) -> bool:
        """Whether no deadline is overdue."""


class Machine(Protocol):
    """Carries out effects: perform.Performer."""

    def perform(self, effect: Effect) -> Iterable[Event]:
        """Carry out an effect without blocking; returns the events that answer it at once."""

    def rest(self, now: float, *, healthy: bool) -> float | None:
        """Called at the end of an iteration; attests progress to the watchdog. Returns when it must be called again."""


class EventHistory(Generic[World]):
    """The last events, KEPT or more of them, and the world that they began in, for the event log.

    Two segments: when the newer one is full, the older one goes and the world between them becomes the beginning.
    Worlds never change, so keeping two costs no copy. The effects follow from a replay.
    """

    def __init__(self, world: World) -> None:
        self.start = self._middle = self.end = world
        self._older: list[tuple[Event, float, float]] = []
        self._newer: list[tuple[Event, float, float]] = []

    @property
    def entries(self) -> tuple[tuple[Event, float, float], ...]:
        """(event, now, jitter) of each step since `start`, oldest first."""
        return (*self._older, *self._newer)

    def add(self, event: Event, now: float, jitter: float) -> None:
        """Add an event; called before its step, so that an event whose step raises is kept too."""
        if len(self._newer) >= KEPT:
            self.start, self._middle = self._middle, self.end
            self._older, self._newer = self._newer, []
        self._newer.append((event, now, jitter))


def run(core: Core[World], machine: Machine, poller: Poller, first: Event, history: EventHistory[World]) -> int:
    """Run until the core quits; returns its exit code. `history` holds the world before the first event."""
    world, code = _digest(core, machine, history, history.end, [first])
    while code is None:
        now = time.monotonic()
        again = machine.rest(now, healthy=core.healthy(world, now))
        whens = [when for when in (core.deadline(world), poller.deadline(), again) if when is not None]
        timeout_s = max(0.0, min(whens) - time.monotonic()) if whens else None
        for callback in poller.wait(timeout_s):
            world, code = _digest(core, machine, history, world, callback())
            if code is not None:
                return code
        due = core.deadline(world)
        if due is not None and due <= time.monotonic():
            world, code = _digest(core, machine, history, world, [DeadlineCame()])
    return code


def _digest(
    core: Core[World], machine: Machine, history: EventHistory[World], world: World, events: Iterable[Event]
) -> tuple[World, int | None]:
    """Step through events, and through the answers to their effects, until none is left or the core quits."""
    inbox = deque(events)
    while inbox:
        event, now, jitter = inbox.popleft(), time.monotonic(), _jitter()
        history.add(event, now, jitter)
        world, effects = core.step(world, event, now, jitter)
        history.end = world
        code = None
        for effect in effects:
            inbox.extend(machine.perform(effect))
            if isinstance(effect, Quit):
                code = effect.code
        if code is not None:
            return world, code
    return world, None


def _jitter() -> float:
    """A random number in [0, 1), from the system: the module `random` would cost 0.3 MB."""
    return int.from_bytes(os.urandom(4), "big") / 2**32
