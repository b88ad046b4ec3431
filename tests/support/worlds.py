"""Worlds for tests of core, each made by the events that lead to it; what a test then changes stands in the test."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TypeVar

from jupyterd.core import step as core
from jupyterd.core.effects import Effect
from jupyterd.core.events import (
    BindFailed,
    Bound,
    ChildStarted,
    Event,
    ProbeEnded,
    Role,
    ServerSaid,
    Signal,
    SignalReceived,
    Started,
    WallClock,
)
from jupyterd.core.world import World
from jupyterd.protocol.plan import Certificate, Command, Listen, Plan, Target, Trouble
from jupyterd.protocol.policy import Policy
from jupyterd.protocol.server_channel import Imported, Ready
from jupyterd.protocol.status import ProcessIdentity

NOTHING = Command(("/bin/true",), (), "/")
NOW = 1000.0
"""Monotonic: when everything in these worlds happened."""
CLOCK = WallClock(1_800_000_000.0 - NOW, 0)
"""NOW is Fri 2027-01-15 08:00."""
SERVER, SPARE, PLANNER, SAMPLER, ENDER = 7, 8, 9, 10, 11
"""Pids. Each process's start time is ten times its pid."""
V4, V6 = Listen("0.0.0.0", 8888), Listen("::", 8888)
LOCAL = Target("localhost", "127.0.0.1", 8888, 0, needed=True)
LOCAL6 = Target("::1", "::1", 8888, 1, needed=True)
LAN = Target("gpu.lan", "192.168.1.7", 8888, 0, needed=False)
DISK = Trouble("root-dir", "/data is not there", "mount /data")
T = TypeVar("T")


def plan(policy: Policy | None = None, *, sampler: bool = True) -> Plan:
    """Two sockets, three addresses, a certificate that does not end soon."""
    return Plan(
        version="1", account="alice", mode="service", state_dir="/var/lib/jupyterd", runtime_dir="/run/jupyterd",
        listen=(V4, V6), targets=(LOCAL, LOCAL6, LAN), urls=("https://gpu.lan:8888/",), base_url="/",
        certificate=Certificate("/c.pem", "aa", 0.0, 1e12, ("gpu.lan",), self_signed=True),
        server=NOTHING, server_key="s0", live_key="l0", sampler=NOTHING if sampler else None,
        planner=NOTHING, ender=NOTHING, policy=policy or Policy(),
    )  # fmt: skip


PLAN = plan(Policy(spare=False), sampler=False)
"""One child only, the server: what another does beside it stands in the tests about that one."""
SPARED = plan(sampler=False)
"""With a spare."""


def play(world: World, *events: Event, now: float = NOW, jitter: float = 0.0) -> tuple[World, tuple[Effect, ...]]:
    """(the world after these events, all effects of all of them)."""
    effects: tuple[Effect, ...] = ()
    for event in events:
        world, more = core.step(world, event, now, jitter)
        effects += more
    return world, effects


def after(world: World, *events: Event, now: float = NOW, jitter: float = 0.0) -> World:
    """The world after these events."""
    return play(world, *events, now=now, jitter=jitter)[0]


def begun(made: Plan = PLAN) -> World:
    """The first event has come; its sockets are asked for unless the plan waits."""
    return after(core.start(), Started(made, CLOCK, ProcessIdentity(1, 10)))


def waiting(made: Plan = PLAN) -> World:
    """The machine is not ready: a disk is away. The sockets are open."""
    return after(begun(replace(made, waiting=(DISK,))), Bound(()))


def port_taken(made: Plan = PLAN) -> World:
    """No socket could be opened."""
    return after(begun(made), Bound(tuple(BindFailed(each, "busy", "thief (pid 5)") for each in made.listen)))


def starting(made: Plan = PLAN) -> World:
    """The server's process exists and has said nothing yet."""
    return after(begun(made), Bound(()), ChildStarted(Role.SERVER, SERVER, 10 * SERVER))


def verifying(made: Plan = PLAN) -> World:
    """The server has said that it is ready; all addresses are being probed."""
    return after(starting(made), ServerSaid(SERVER, Ready()))


def good(target: Target, clock: WallClock = CLOCK) -> ProbeEnded:
    """It answers, with the certificate that is on disk."""
    return ProbeEnded(target, None, "aa", clock)


def bad(target: Target, problem: str = "no answer for 11 s") -> ProbeEnded:
    """It does not answer."""
    return ProbeEnded(target, problem, None, CLOCK)


def serving(made: Plan = PLAN) -> World:
    """Every address has answered; the spare, if there is to be one, still imports."""
    return after(verifying(made), *map(good, made.targets), ChildStarted(Role.SPARE, SPARE, 10 * SPARE))


def with_spare(made: Plan = SPARED) -> World:
    """Serving, with a spare that has imported everything."""
    return after(serving(made), ServerSaid(SPARE, Imported()))


def reloading(made: Plan = PLAN) -> World:
    """Serving; somebody has sent SIGHUP and the planner runs."""
    return after(serving(made), SignalReceived(Signal.HUP), ChildStarted(Role.PLANNER, PLANNER, 10 * PLANNER))


def stopping(made: Plan = PLAN) -> World:
    """Serving; somebody has sent SIGTERM."""
    return after(serving(made), SignalReceived(Signal.TERM))


def of(kind: type[T], effects: tuple[Effect, ...]) -> list[T]:
    """The effects of that kind, in order."""
    return [each for each in effects if isinstance(each, kind)]


class Match:
    """Equal to any `kind` whose fields that are given are equal: `assert match(Notify, ready=True) in effects`."""

    def __init__(self, kind: type, given: dict[str, object]) -> None:
        self.kind, self.given = kind, given

    def __eq__(self, other: object) -> bool:
        return type(other) is self.kind and all(getattr(other, name) == want for name, want in self.given.items())

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{self.kind.__name__}({', '.join(f'{name}={want!r}' for name, want in self.given.items())}, ...)"


def match(kind: type, /, **given: object) -> Match:
    """See Match. A field that `kind` does not have is a mistake in the test."""
    unknown = given.keys() - {each.name for each in fields(kind)}
    assert not unknown, f"{kind.__name__} has no {unknown}"
    return Match(kind, given)
