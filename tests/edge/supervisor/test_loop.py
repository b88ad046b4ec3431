"""The loop with a scripted core: what it asks, when it waits, how it leaves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from jupyterd.core.effects import CancelProbes, Effect, Quit
from jupyterd.core.events import DeadlineCame, Event, FrameCame, Signal, SignalReceived
from jupyterd.supervisor.loop import KEPT, EventHistory, run
from jupyterd.supervisor.poller import Poller

FIRST = SignalReceived(Signal.HUP)


@dataclass
class Script:
    """The world is the number of events so far."""

    answers: dict[int, tuple[Effect, ...]]
    wait_s: float | None = None
    sick: bool = False
    events: list[Event] = field(default_factory=list)
    due: float | None = None

    def start(self) -> int:
        return 0

    def step(self, world: int, event: Event, now: float, jitter: float) -> tuple[int, tuple[Effect, ...]]:
        assert 0 <= jitter < 1
        assert abs(now - time.monotonic()) < 5
        self.events.append(event)
        self.due = None if self.wait_s is None else now + self.wait_s
        return world + 1, self.answers.get(world, ())

    def deadline(self, world: int) -> float | None:
        assert world == len(self.events)
        return self.due

    def healthy(self, world: int, now: float) -> bool:
        assert (world, now) > (0, 0)
        return not self.sick


@dataclass
class Hands:
    answers: Callable[[Effect], Iterable[Event]] = lambda _: ()
    again_s: float | None = None
    done: list[Effect] = field(default_factory=list)
    rests: list[bool] = field(default_factory=list)

    def perform(self, effect: Effect) -> Iterable[Event]:
        self.done.append(effect)
        return self.answers(effect)

    def rest(self, now: float, *, healthy: bool) -> float | None:
        self.rests.append(healthy)
        return None if self.again_s is None else now + self.again_s


def test_answers_are_fed_back_before_it_waits_and_quit_leaves_after_the_last_effect(poller: Poller) -> None:
    core = Script({0: (CancelProbes(),), 1: (Quit(7), CancelProbes())})
    hands = Hands(lambda effect: [FrameCame(None)] if isinstance(effect, CancelProbes) else ())
    assert run(core, hands, poller, FIRST, EventHistory(0)) == 7
    assert core.events == [FIRST, FrameCame(None)]
    assert hands.done == [CancelProbes(), Quit(7), CancelProbes()]
    assert hands.rests == []


def test_it_sleeps_until_the_deadline_and_not_once_more(poller: Poller) -> None:
    core, hands = Script({2: (Quit(0),)}, wait_s=0.15), Hands()
    begun = time.monotonic()
    assert run(core, hands, poller, FIRST, EventHistory(0)) == 0
    assert time.monotonic() - begun >= 0.3
    assert core.events == [FIRST, DeadlineCame(), DeadlineCame()]
    assert len(hands.rests) == 2


def test_the_watchdog_wakes_it_too_and_hears_of_sickness(poller: Poller) -> None:
    core, hands = Script({1: (Quit(0),)}, wait_s=0.5, sick=True), Hands(again_s=0.1)
    run(core, hands, poller, FIRST, EventHistory(0))
    assert 3 <= len(hands.rests) <= 6
    assert not any(hands.rests)


def test_what_an_earlier_fact_cancels_does_not_happen(poller: Poller) -> None:
    """Two timers are due at once; the first one's effect cancels the second."""
    now = time.monotonic()
    poller.call_at(now, lambda: [FrameCame(None)])
    second = poller.call_at(now, lambda: [FIRST])

    def cancel(effect: Effect) -> Iterable[Event]:
        if isinstance(effect, CancelProbes):
            poller.cancel(second)
        return ()

    core = Script({1: (CancelProbes(),), 2: (Quit(0),)}, wait_s=0.1)
    run(core, Hands(cancel), poller, FIRST, EventHistory(0))
    assert core.events == [FIRST, FrameCame(None), DeadlineCame()]


def test_the_history_keeps_the_last_events_and_the_world_before_them() -> None:
    history = EventHistory(0)
    for number in range(3 * KEPT + 5):
        history.add(FIRST, float(number), 0.5)
        history.end = number + 1
        assert len(history.entries) == min(number + 1, KEPT + (number % KEPT) + 1)
        assert history.entries[0] == (FIRST, float(history.start), 0.5), (
            "the first entry follows the world at the start"
        )
        assert history.entries[-1] == (FIRST, float(number), 0.5)
