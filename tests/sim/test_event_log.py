"""The supervisor's last events, written down and read back, lead to the same world and the same effects."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from sim.worlds import HOUR, Faults, Machine
from support.worlds import plan

from jupyterd.core import event_log, step
from jupyterd.core.effects import Effect
from jupyterd.core.events import Signal
from jupyterd.protocol.plan import Command
from jupyterd.supervisor.loop import KEPT

FAULTS = Faults(
    crash=0.5, hang=0.3, ignores_term=0.3, wedge=0.05, spawn_fails=0.1, planner_refuses=0.2, changes=0.5,
    sampler_bad=0.3, signal_every_s=HOUR / 4, trouble_every_s=HOUR, life_s=600.0,
)  # fmt: skip


class Written(Machine):
    """A machine that keeps all effects."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.effects: list[Effect] = []

    def perform(self, effect: Effect) -> None:
        self.effects.append(effect)
        super().perform(effect)


def written(machine: Machine) -> str:
    return event_log.encode(machine.history.start, machine.history.entries, machine.history.end)


@pytest.mark.parametrize(
    ("seed", "hours"),
    [*((seed, 0.02) for seed in range(6)), *(pytest.param(seed, 3.0, marks=pytest.mark.slow) for seed in range(2))],
)
def test_a_replay_gives_the_same_world_and_effects(seed: int, hours: float) -> None:
    machine = Written(seed, FAULTS, plan())
    machine.begin()
    machine.run(1000.0 + hours * HOUR)
    if seed % 2:
        machine.signal(Signal.TERM)
    log = event_log.decode(written(machine))
    world, effects = event_log.replay(log, step.step)
    assert world == log.end == machine.world
    assert hours < 1 or KEPT <= len(log.entries) <= 2 * KEPT
    flat = [effect for each in effects for effect in each]
    assert flat == machine.effects[len(machine.effects) - len(flat) :]


def test_no_value_of_an_environment_is_written_and_what_differs_still_differs() -> None:
    server = Command(("/bin/server",), (("TOKEN", "hunter2"), ("AGAIN", "hunter2"), ("OTHER", "abc123")), "/")
    machine = Machine(1, Faults(), replace(plan(sampler=False), server=server))
    machine.begin()
    machine.run(2000.0)
    text = written(machine)
    assert "TOKEN" in text and "hunter2" not in text and "abc123" not in text
    log = event_log.decode(text)
    assert event_log.replay(log, step.step)[0] == log.end
    assert log.end.plan is not None
    assert log.end.plan.server.env == (("TOKEN", "#1"), ("AGAIN", "#1"), ("OTHER", "#2"))


def test_each_class_has_a_name_of_its_own() -> None:
    names = Counter(each.__name__ for each in event_log._classes())  # noqa: SLF001 - the table of the decoder
    assert max(names.values()) == 1, names.most_common(3)


@pytest.mark.parametrize("text", ["{", "{}", '{"start": {"Nobody": []}, "entries": [], "end": null}', "[]"])
def test_what_is_no_event_log_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not an event log|Expecting"):
        event_log.decode(text)
