"""The recorder's loop: one poll over kernels, connection files and servers; a deadline only where one is named.

It ends when there has been no kernel for a while, and on SIGTERM. When a server of another version has said hello it
becomes that version, in the same process, as soon as no cell is under way.
"""

from __future__ import annotations

import base64
import contextlib
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import zmq

from jupyterd.linux import files, inotify, kept
from jupyterd.protocol import spool
from jupyterd.protocol.recorder_channel import (
    NOT_KEPT_MOST,
    QUESTION_MOST,
    Asked,
    Away,
    Back,
    Hello,
    NotKept,
    Over,
    RecorderPaths,
    ReportNotKept,
    Told,
    ToRecorder,
    Yours,
)
from jupyterd.recorder.clients import Clients
from jupyterd.recorder.kernel import RecordedKernel, Sockets, read_connection
from jupyterd.recorder.lock import Lock

_ALONE_S = 20.0
"""The recorder ends when there has been no kernel for this long."""
_LOOK_S = 2.0
"""A server that holds the kernels and has not said hello, and a disk that is full: looked at again this often."""
_COMPLAIN_AT = 3
"""Attempts: a connection file that is being written is not whole at the first."""
_GATHER_S = 0.005
"""Between two rounds while output comes: many messages then cost one wake-up."""


class HandOver(Exception):  # noqa: N818 - a fact, not a fault
    """A server of another version has said Hello, and no cell runs: execute the recorder of its `python`."""

    def __init__(self, python: str) -> None:
        super().__init__(python)
        self.python = python


class PlaceLost(Exception):  # noqa: N818 - the same
    """The directory of the sockets was removed or replaced: begin again in the one that is there."""


@dataclass(slots=True)
class Recorder:
    """Records all kernels; holds the recorder's whole state."""

    paths: RecorderPaths
    lock: Lock
    python: str
    """The interpreter of this version of jupyterd."""
    context: Sockets
    clients: Clients
    changes: int
    """Readable after a change in the directory of connection files (inotify)."""
    wake: int
    """Readable after a signal."""
    max_bytes: int
    """Bound of each kernel's spool; the setting comes with Hello."""
    kernels: dict[str, RecordedKernel] = field(default_factory=dict)
    served: dict[int, set[tuple[str, str]]] = field(default_factory=dict)
    """(kernel id, session id) of the tabs that are connected, by the descriptor of their server's connection."""
    unsure: bool = True
    """A server runs that has not said Hello: it may hold its tabs' identities."""
    alone_since: float = 0.0
    troubles: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Kernels that cannot be recorded yet: how often that was tried, and why not."""
    reported: dict[int, NotKept | None] = field(default_factory=dict)
    """What was said last to each server that wants to know, by the descriptor of its connection."""
    tried_at: float = 0.0
    """When the spools that cannot be written were tried last, monotonic."""
    place: tuple[int, int] = (0, 0)
    """The directory of the connection files, as it was when the watch began."""
    successor: str = ""
    """The interpreter of a server of another version, "" for none."""

    def listen(self) -> None:
        """Subscribe to every kernel, then let clients connect. OSError."""
        self.alone_since = time.monotonic()
        self.look()
        self.clients.listen()

    def run(self) -> None:
        """Run until SIGTERM, 20 s after the last kernel, or until another recorder has taken the lock. Raises HandOver
        and PlaceLost.
        """
        self.hold_absent()
        while True:
            ready = self._poll()
            if self.wake in ready:
                self.look()
                return
            if self.changes in ready or self.troubles:
                inotify.drain(self.changes)
                self._keep_place()
                self.look()
            if not self.lock.is_ours():
                return
            for kernel in self.kernels.values():
                kernel.take()
            self._hear_clients(ready)
            self._report_not_kept()
            self._pass_on_questions()
            self._hand_over()
            if not self.kernels and time.monotonic() - self.alone_since >= _ALONE_S:
                return
            if ready:
                time.sleep(_GATHER_S)

    def _keep_place(self) -> None:
        """Whether the directory and the socket in it are still those that others see."""
        if self.place != _place(self.paths.sockets):
            raise PlaceLost(f"{self.paths.sockets} was removed or replaced")
        try:
            self.clients.keep_place()
        except OSError as error:
            raise PlaceLost(f"the socket of the recorder is gone: {error}") from error

    def _hand_over(self) -> None:
        """Not while a cell runs: nobody listens until the other version does."""
        if self.successor and not any(kernel.runs_cell for kernel in self.kernels.values()):
            raise HandOver(self.successor)

    def _report_not_kept(self) -> None:
        ill = [each for each in self.kernels.values() if each.trouble]
        if ill and time.monotonic() - self.tried_at >= _LOOK_S:
            self.tried_at = time.monotonic()
            for each in ill:
                each.try_again()
        if not self.reported:
            return
        found = [(name, each.trouble) for name, each in self.kernels.items() if each.trouble]
        found += [(name, why) for name, (times, why) in self.troubles.items() if times >= _COMPLAIN_AT]
        message = NotKept(tuple(sorted(found)[:NOT_KEPT_MOST]))
        for descriptor, last in self.reported.items():
            if last != message:
                self.clients.answer(descriptor, message)
                self.reported[descriptor] = message

    def _pass_on_questions(self) -> None:
        for name, kernel in self.kernels.items():
            for frames in kernel.questions():
                if sum(map(len, frames)) <= QUESTION_MOST:
                    message = Asked(name, tuple(base64.b64encode(each).decode() for each in frames))
                    for descriptor in self.reported:
                        self.clients.answer(descriptor, message)

    def close(self) -> None:
        """Close all sockets and files."""
        for kernel in self.kernels.values():
            kernel.close()
        self.clients.close()
        self.context.destroy(linger=0)
        os.close(self.changes)
        self.lock.close()

    def _poll(self) -> set[int]:
        poller = zmq.Poller()
        for descriptor in (self.wake, self.changes, *self.clients.descriptors()):
            poller.register(descriptor, zmq.POLLIN)
        for kernel in self.kernels.values():
            for each in kernel.sockets():
                poller.register(each, zmq.POLLIN)
        ill = self.troubles or any(kernel.trouble for kernel in self.kernels.values())
        wait = _LOOK_S if self.unsure or ill else None
        if not self.kernels:
            wait = max(0.0, self.alone_since + _ALONE_S - time.monotonic())
        due = min((until for kernel in self.kernels.values() if (until := kernel.deadline())), default=None)
        if due is not None:
            wait = max(0.0, due - time.monotonic())
        found = poller.poll(None if wait is None else int(wait * 1000) + 1)
        return {each if isinstance(each, int) else -1 for each, _ in found}

    def look(self) -> None:
        """Start recording new kernels, and stop recording those whose connection file is gone."""
        there = {path.name[len("kernel-") : -len(".json")]: path for path in self.paths.sockets.glob("kernel-*.json")}
        for gone in self.kernels.keys() - there.keys():
            self.kernels.pop(gone).close()
            self.alone_since = time.monotonic()
        for path in self.paths.spool.glob("*/"):
            if path.name not in there and kept.ASIDE not in path.name:
                _remove(path)
        before, self.troubles = self.troubles, {}
        for name in there.keys() - self.kernels.keys():
            try:
                connection = read_connection(there[name])
                directory = self.paths.spool / name
                self.kernels[name] = RecordedKernel(self.context, connection, directory, self.max_bytes)
            except FileNotFoundError:
                continue
            except (OSError, ValueError, zmq.ZMQError) as error:
                times = before.get(name, (0, ""))[0] + 1
                self.troubles[name] = times, f"{there[name]}: {error}"
                if times == _COMPLAIN_AT:
                    kept.say(f"kernel {name} is not recorded: {there[name]}: {error}")

    def hold_absent(self) -> None:
        """Hold the identities of all absent tabs, once no server can hold them."""
        self.unsure = not self.served and files.is_locked(self.paths.records / "server.lock", shared=True)
        if self.unsure:
            return
        served = set[tuple[str, str]]().union(*self.served.values())
        for name, kernel in self.kernels.items():
            for session in kernel.absent():
                if (name, session) not in served:
                    kernel.hold_identity(session)

    def _hear_clients(self, ready: set[int]) -> None:
        for descriptor in self.clients.descriptors():
            if descriptor in ready:
                self._hear(descriptor)
        if self.unsure:
            self.hold_absent()

    def _hear(self, descriptor: int) -> None:
        if descriptor == self.clients.listener.fileno():
            self.clients.accept()
            return
        said = self.clients.read(descriptor)
        if said is None:
            self.reported.pop(descriptor, None)
            left = self.served.pop(descriptor, set())
            for kernel, session in left.difference(*self.served.values()):
                self._hold(kernel, session)
            return
        for message in said:
            self._do(descriptor, message)

    def _do(self, descriptor: int, message: ToRecorder) -> None:
        match message:
            case Hello(python=python, max_bytes=max_bytes, tabs=tabs):
                self.successor = python if python != self.python and os.access(python, os.X_OK) else ""
                self._limit(max_bytes)
                self.served[descriptor] = set(tabs)
                for kernel, session in tabs:
                    self._release(kernel, session)
                self.hold_absent()
            case ReportNotKept():
                self.reported[descriptor] = None  # answered in any case: it also shows that this process works
            case Back(kernel=kernel, session=session):
                if kernel not in self.kernels:
                    self.look()
                self.served.setdefault(descriptor, set()).add((kernel, session))
                self.clients.answer(descriptor, Yours(kernel, session, self._release(kernel, session)))
            case Away(kernel=kernel, session=session):
                self.served.setdefault(descriptor, set()).discard((kernel, session))
                self._hold(kernel, session)
            case Over(kernel=kernel, why=why, before=before):
                found = self.kernels.get(kernel)
                last = b"" if found is None else found.end_cells(why, before.encode())
                self.clients.answer(descriptor, Told(kernel, last.hex()))

    def _limit(self, max_bytes: int) -> None:
        """Kept for the next recorder: it may be started, and reach a bound, before a server is."""
        self.max_bytes = max_bytes
        with contextlib.suppress(OSError):  # this recorder knows it all the same
            kept.write(self.paths.spool / spool.BOUND, b"%d\n" % max_bytes)
        for kernel in self.kernels.values():
            kernel.limit(max_bytes)

    def _hold(self, kernel: str, session: str) -> None:
        found = self.kernels.get(kernel)
        if found is not None and session in found.absent():
            found.hold_identity(session)

    def _release(self, kernel: str, session: str) -> bool:
        found = self.kernels.get(kernel)
        return found is not None and found.release_identity(session)


def _remove(directory: Path) -> None:
    with contextlib.suppress(OSError):  # a tab that connects at this moment: another time
        for each in directory.iterdir():
            each.unlink()
        directory.rmdir()


def begin(paths: RecorderPaths, lock: Lock, python: str, wake: int) -> Recorder:
    """`wake` is readable after a signal. OSError when the directories are not there."""
    changes = inotify.watch([paths.sockets])
    listener = Clients(paths.sockets / spool.SOCKET)
    max_bytes = _kept_bound(paths.spool / spool.BOUND) or paths.max_bytes
    place = _place(paths.sockets)
    return Recorder(paths, lock, python, zmq.Context(), listener, changes, wake, max_bytes, place=place)


def _place(directory: Path) -> tuple[int, int]:
    try:
        found = directory.stat()
    except OSError:
        return (0, 0)
    return found.st_dev, found.st_ino


def _kept_bound(path: Path) -> int | None:
    """None where no server has set one, or the file is damaged."""
    try:
        return max(0, int(kept.read(path))) or None
    except (OSError, ValueError):
        return None
