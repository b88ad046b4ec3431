"""The state diagram of the server, drawn from what it did in simulated worlds: `python -m sim.diagram` prints it.

Run in tests/. docs/architecture.md holds the same text, and test_diagram.py keeps it true.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sim.worlds import HOUR, Faults, Machine
from support.worlds import plan

from jupyterd.core import step as core
from jupyterd.core.child import Child, Running
from jupyterd.core.events import Event, Signal

WORLDS = 14
FAULTS = Faults(
    crash=0.7, hang=0.3, never_ready=0.1, ignores_term=0.3, wedge=0.1, spawn_fails=0.1, changes=0.5,
    signal_every_s=HOUR / 15, trouble_every_s=HOUR, life_s=60.0,
)  # fmt: skip


@dataclass
class Watched(Machine):
    """A machine that notes each change of the server's state and the event that brought it."""

    seen: set[tuple[str, str, str]] = field(default_factory=set)

    def feed(self, event: Event) -> None:
        before = name(self.world.server)
        super().feed(event)
        after = name(self.world.server)
        if before != after:
            self.seen.add((before, after, words(event)))


def name(child: Child) -> str:
    """A running server is named by its stage."""
    return type(child.stage).__name__ if isinstance(child, Running) else type(child).__name__


def words(event: Event) -> str:
    """ChildExited -> "child exited"; what the server said by its message."""
    kind = type(getattr(event, "message", event)).__name__
    return re.sub(r"(?<!^)([A-Z])", r" \1", kind).lower()


def transitions() -> list[tuple[str, str, str]]:
    """(before, after, all the events that brought it), sorted."""
    seen: set[tuple[str, str, str]] = set()
    for seed in range(WORLDS):
        machine = Watched(seed, FAULTS, plan(sampler=False))
        machine.keep_log = False
        machine.begin()
        machine.run(1000.0 + HOUR)
        machine.signal(Signal.TERM)
        machine.run(machine.now + HOUR)
        assert core.deadline(machine.world) is None
        seen |= machine.seen
    pairs = sorted({(before, after) for before, after, _ in seen})
    return [(b, a, ", ".join(sorted(event for x, y, event in seen if (x, y) == (b, a)))) for b, a in pairs]


def mermaid() -> str:
    """The diagram."""
    lines = [f"    {before} --> {after}: {events}" for before, after, events in transitions()]
    return "\n".join(["```mermaid", "stateDiagram-v2", "    [*] --> Stopped", *lines, "```"]) + "\n"


if __name__ == "__main__":
    print(mermaid(), end="")  # noqa: T201 - what it is for
