"""The supervisor's loop: one thread, one wait, one computed deadline. Facts go to the core, effects come back.

It decides nothing: the core is an argument.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable
from typing import Protocol, TypeVar

from jupyterd.core.effects import Effect, Quit
from jupyterd.core.events import DeadlineCame, Event
from jupyterd.supervisor.poller import Poller

World = TypeVar("World")


class Core(Protocol[World]):
    """What decides: jupyterd.core.step, or a script in a test. The world is opaque here."""

    def start(self) -> World:
        """The world before the first event."""

    def step(self, world: World, event: Event, now: float, jitter: float, /) -> tuple[World, tuple[Effect, ...]]:
        """One fact in, what to do out. `now` is monotonic, 0 <= jitter < 1."""

    def deadline(self, world: World, /) -> float | None:
        """When the core wants DeadlineCame, monotonic."""

    def healthy(self, world: World, now: float, /) -> bool:
        """Whether no machine's own deadline is overdue."""


class Machine(Protocol):
    """What acts: perform.Performer."""

    def perform(self, effect: Effect) -> Iterable[Event]:
        """Carry it out without blocking; answers that are known at once come back."""

    def rest(self, now: float, *, healthy: bool) -> float | None:
        """The end of an iteration: attest progress to the watchdog. Gives when it must be called again."""


def run(core: Core[World], machine: Machine, poller: Poller, first: Event) -> int:
    """Run until the core quits; gives its exit code."""
    world, code = _digest(core, machine, core.start(), [first])
    while code is None:
        now = time.monotonic()
        again = machine.rest(now, healthy=core.healthy(world, now))
        whens = [when for when in (core.deadline(world), poller.deadline(), again) if when is not None]
        timeout_s = max(0.0, min(whens) - time.monotonic()) if whens else None
        for callback in poller.wait(timeout_s):
            world, code = _digest(core, machine, world, callback())
            if code is not None:
                return code
        due = core.deadline(world)
        if due is not None and due <= time.monotonic():
            world, code = _digest(core, machine, world, [DeadlineCame()])
    return code


def _digest(core: Core[World], machine: Machine, world: World, events: Iterable[Event]) -> tuple[World, int | None]:
    """Feed events, and the answers to their effects, until there are none left or the core quits."""
    inbox = deque(events)
    while inbox:
        world, effects = core.step(world, inbox.popleft(), time.monotonic(), _jitter())
        code = None
        for effect in effects:
            inbox.extend(machine.perform(effect))
            if isinstance(effect, Quit):
                code = effect.code
        if code is not None:
            return world, code
    return world, None


def _jitter() -> float:
    """Of [0, 1). From the system: the module `random` would cost 0.3 MB for this one number."""
    return int.from_bytes(os.urandom(4), "big") / 2**32
