"""Carries out effects: hands each to the object in charge. Decides nothing and never waits."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, assert_never

from jupyterd.core import effects
from jupyterd.core.effects import Effect, Record
from jupyterd.core.events import Event
from jupyterd.core.journal_kinds import LEFTOVERS, TROUBLE
from jupyterd.protocol import banner
from jupyterd.protocol.plan import Listen
from jupyterd.protocol.status import Snapshot
from jupyterd.supervisor.children import Children
from jupyterd.supervisor.listeners import Listeners
from jupyterd.supervisor.probe import Probes
from jupyterd.supervisor.sd_notify import Notifier
from jupyterd.supervisor.status_file import Status


class RecordSink(Protocol):
    """Where records go: journal.Journal or console.Console."""

    def write(self, record: Record) -> None:
        """Write a record."""

    def show(self, text: str) -> None:
        """Show a banner, if this sink is for people at a terminal."""

    def stream(self, name: str) -> int:
        """A descriptor for a child's output; the caller closes it."""

    def close(self) -> None:
        """Close its descriptors."""


@dataclass(slots=True)
class Performer:
    """Holds one object for each kind of effect."""

    log: RecordSink
    notifier: Notifier
    listeners: Listeners
    children: Children
    probes: Probes
    status: Status
    banner_fd: int | None
    wanted: tuple[Listen, ...] = field(default=())
    """The order in which the server gets its sockets: that of the last Bind."""
    publish_problem: str | None = None

    def perform(self, effect: Effect) -> Iterable[Event]:  # noqa: C901, PLR0912 - one line for each effect
        """Carry out an effect; returns the events that answer it at once."""
        match effect:
            case effects.Bind(listen):
                self.wanted = listen
                return [self.listeners.bind(listen)]
            case effects.Spawn():
                return [self.children.spawn(effect, self.listeners.fds(self.wanted))]
            case effects.SendSignal(role, pid, signal):
                self.children.signal(role, pid, signal)
            case effects.Abandon(role, pid):
                self.children.abandon(role, pid)
            case effects.Promote(pid):
                self.children.promote(pid)
            case effects.Retire(pid):
                self.children.retire(pid)
            case effects.InspectProcess(pid):
                return [self.children.inspect(pid)]
            case effects.SendToServer(message):
                self.children.send(message)
            case effects.Probe():
                return self.probes.begin(effect)
            case effects.EndLeftovers(pid):
                self._end_leftovers(pid)
            case effects.CancelProbes():
                self.probes.cancel()
            case effects.Notify():
                self.notifier.notify(effect)
            case effects.Record():
                self.log.write(effect)
            case effects.Publish(snapshot):
                self._publish(snapshot)
            case effects.ShowBanner(urls):
                self._show_banner(urls)
            case effects.Quit():
                pass  # the loop leaves
            case _:
                assert_never(effect)
        return ()

    def rest(self, now: float, *, healthy: bool) -> float | None:
        """Called at the end of an iteration; returns when it must be called again."""
        again = self.notifier.rest(now, healthy=healthy)
        if now >= self.status.look_at:
            with self._publishing():
                self.status.keep(now)
        return self.status.look_at if again is None else min(again, self.status.look_at)

    def _end_leftovers(self, server: int) -> None:
        ended = self.children.end_leftovers(server)
        if ended:
            self.log.write(Record(LEFTOVERS, f"ended what the server (pid {server}) had started: {', '.join(ended)}"))

    def _publish(self, snapshot: Snapshot) -> None:
        with self._publishing():
            self.status.publish(snapshot)

    @contextmanager
    def _publishing(self) -> Iterator[None]:
        """Report an OSError once, not at each change."""
        try:
            yield
            self.publish_problem = None
        except OSError as error:
            problem = f"cannot write the status for `jupyterd status`: {error}"
            if problem != self.publish_problem:
                self.publish_problem = problem
                self.log.write(Record(TROUBLE, problem))

    def _show_banner(self, urls: tuple[str, ...]) -> None:
        """Show the banner once, and close its descriptor: it may hold a one-time token."""
        if self.banner_fd is not None:
            with os.fdopen(self.banner_fd, "rb") as file:
                self.banner_fd = None
                file.seek(0)
                self.log.show(banner.fill(file.read().decode(errors="replace"), urls))
