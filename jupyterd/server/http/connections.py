"""Tracks every open connection and its phase, and closes those that are too slow or too many.

Knows no socket and no HTTP: its methods are called when something happens, and it closes by calling `close`. Nothing is
polled: each connection has one timer.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from jupyterd.server.http.timeouts import HERE, WEIGHT, Connection, Limits, Phase, Timer, due, is_late, place

SHED_PART = 32
"""If there are too many, the worst 1/32 of them are closed at once, because finding them means scanning all."""


class LoopClock(Protocol):
    """The part of asyncio's event loop that is used here."""

    def time(self) -> float:
        """The event loop's clock, in monotonic seconds."""

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` once at the time `when` of the loop's clock; returns its timer."""


@dataclass(slots=True)
class Connections:
    """All connections of one server."""

    limits: Limits
    clock: LoopClock
    tell: Callable[[str], None]
    """Logs one sentence."""
    known: set[Connection] = field(default_factory=set)
    strangers: dict[str, set[Connection]] = field(default_factory=dict)
    """The connections without a login, by address."""
    elsewhere: int = 0
    """How many connections without a login come from other machines."""
    held: int = 0
    """Bytes in memory of the requests without a login."""
    told: dict[str, float] = field(default_factory=dict)

    # --- coming and going ---------------------------------------------------------------------------------------

    def admit(self, address: object, close: Callable[[], None]) -> Connection:
        """Track a connection that was accepted from `address` (as accept(2) gives it). Where there are too many, others
        are closed.
        """
        where = place(address)
        self._make_room(where)
        now = self.clock.time()
        connection = Connection(where, close, now, marked=now)
        self.strangers.setdefault(where, set()).add(connection)
        self.elsewhere += where != HERE
        self._arm(connection)
        return connection

    def leave(self, connection: Connection) -> None:
        """Stop tracking: the connection is closed, by either side."""
        if not connection.there:
            return
        connection.there = False
        if connection.timer is not None:
            connection.timer.cancel()
            connection.timer = None
        if connection.known:
            self.known.discard(connection)
        else:
            self._forget_stranger(connection)
        connection.held = 0

    def recognise(self, connection: Connection) -> None:
        """Note that the connection carries a valid login: it counts among those with one, and has longer time-outs."""
        if connection.known or not connection.there:
            return
        self._forget_stranger(connection)
        connection.known = True
        self.known.add(connection)
        if len(self.known) > self.limits.connections_max:
            idle = [each for each in self.known if each.phase is Phase.KEEP_ALIVE]
            self._dismiss(self._worst(idle, self.limits.connections_max))

    def shed(self, count: int) -> int:
        """Close up to `count` connections to free descriptors, those without a login first. Returns how many."""
        everybody = (each for group in self.strangers.values() for each in group)
        worst = heapq.nlargest(count, everybody, self._burden)
        worst += heapq.nlargest(
            count - len(worst), (g for g in self.known if g.phase is Phase.KEEP_ALIVE), self._burden
        )
        self._dismiss(worst)
        return len(worst)

    @property
    def newcomers(self) -> bool:
        """Whether a connection without a login has not sent its first request yet."""
        return any(not each.served for group in self.strangers.values() for each in group)

    @property
    def unread(self) -> bool:
        """Whether a response has not been read in full by its client."""
        return any(each.phase is Phase.WAITING and each.unread() for each in self.everybody())

    def everybody(self) -> list[Connection]:
        """Every open connection."""
        return [each for group in (self.known, *self.strangers.values()) for each in tuple(group)]

    # --- what they do -------------------------------------------------------------------------------------------

    def handshake_began(self, connection: Connection) -> None:
        """Note that the first bytes have arrived; the time-out of the whole handshake continues."""
        connection.phase = Phase.HANDSHAKE
        connection.marked = self.clock.time()

    def transferred(self, connection: Connection, count: int, *, incoming: bool) -> None:
        """Count bytes that were read (`incoming`) or written."""
        connection.moved += count
        if incoming and connection.there and connection.phase is not Phase.OPEN:
            self._hold(connection, connection.held + count)
        if incoming and connection.phase in {Phase.SILENT, Phase.HANDSHAKE, Phase.KEEP_ALIVE}:
            self.enter(connection, Phase.HEADER)

    def enter(self, connection: Connection, phase: Phase) -> None:
        """Enter another phase: its time-out begins, and no byte has moved in it."""
        if not connection.there:
            return
        connection.phase = phase
        connection.since = connection.marked = self.clock.time()
        connection.moved = 0
        if phase is Phase.OPEN:
            self._hold(connection, 0)
        self._arm(connection)

    def request_ended(self, connection: Connection) -> None:
        """Note that the last request is answered, and its body out of memory."""
        if connection.there:
            self._hold(connection, connection.buffered())

    # --- deadlines ----------------------------------------------------------------------------------------------

    def _arm(self, connection: Connection) -> None:
        """A timer that fires too early is armed again: most requests are over before any of their timers fires."""
        until = due(connection, self.limits)
        if connection.timer is not None:
            if until is not None and connection.timer.when() <= until:
                return
            connection.timer.cancel()
            connection.timer = None
        if until is not None:
            connection.timer = self.clock.call_at(until, lambda: self._look(connection))

    def _look(self, connection: Connection) -> None:
        connection.timer = None
        until = due(connection, self.limits)
        now = self.clock.time()
        if until is not None and until <= now:
            if is_late(connection, self.limits):
                self._dismiss([connection])
                return
            connection.marked, connection.moved = now, 0
        self._arm(connection)

    # --- caps ---------------------------------------------------------------------------------------------------

    def _make_room(self, where: str) -> None:
        limits = self.limits
        group = self.strangers.get(where, set())
        most = limits.connections_max if where == HERE else max(1, limits.connections_max // limits.address_share)
        if len(group) >= most:
            self._complain("this machine" if where == HERE else where, most)
            self._dismiss(self._worst(group, most))
        if where != HERE and self.elsewhere >= limits.connections_max:
            self._complain("elsewhere", limits.connections_max)
            others = (each for at, group in self.strangers.items() if at != HERE for each in group)
            self._dismiss(self._worst(others, limits.connections_max))

    def _worst(self, connections: Iterable[Connection], most: int) -> list[Connection]:
        return heapq.nlargest(max(1, most // SHED_PART), connections, self._burden)

    def _burden(self, connection: Connection) -> float:
        return (self.clock.time() - max(connection.since, connection.marked)) * WEIGHT[connection.phase]

    def _dismiss(self, connections: Iterable[Connection]) -> None:
        for connection in connections:
            self.leave(connection)
            connection.close()

    def _hold(self, connection: Connection, count: int) -> None:
        if not connection.known:
            self.held += count - connection.held
        connection.held = count
        if not connection.known and self.held > self.limits.strangers_bytes:
            self.say(
                "memory",
                f"requests without a login hold more than {self.limits.strangers_bytes >> 20} MiB: the largest ones "
                "are closed",
            )
            self._dismiss(self._largest(self.limits.strangers_bytes * (SHED_PART - 1) // SHED_PART))

    def _largest(self, most: int) -> Iterable[Connection]:
        """The connections without a login that hold most, until the others hold less than `most` bytes."""
        everybody = [each for group in self.strangers.values() for each in group]
        for each in sorted(everybody, key=lambda one: one.held, reverse=True):
            if self.held < most:
                return
            yield each

    def _forget_stranger(self, connection: Connection) -> None:
        self.held -= connection.held
        group = self.strangers[connection.address]
        group.discard(connection)
        self.elsewhere -= connection.address != HERE
        if not group:
            del self.strangers[connection.address]

    def _complain(self, whose: str, most: int) -> None:
        self.say(
            whose,
            f"more than {most} connections without a login from {whose}: the longest silent ones are closed, "
            "logged-in ones are not touched ([server] connections_max)",
        )

    def say(self, about: str, sentence: str) -> None:
        """Log it, unless the same was logged within `say_every_s`."""
        now = self.clock.time()
        if now - self.told.get(about, -self.limits.say_every_s) < self.limits.say_every_s:
            return
        self.told = {each: at for each, at in self.told.items() if now - at < self.limits.say_every_s} | {about: now}
        self.tell(sentence)
