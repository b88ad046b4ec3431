"""The recorder's loop: one poll over kernels, connection files and servers; a deadline only where one is named.

It ends when there has been no kernel for a while, and on SIGTERM. When a server of another version has said hello it
becomes that version, in the same process, as soon as no cell is under way.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import zmq

from jupyterd.protocol import spool
from jupyterd.protocol.recorder_channel import Away, Back, Hello, Over, Told, ToRecorder, Yours
from jupyterd.recorder import clients, inotify
from jupyterd.recorder.clients import Clients
from jupyterd.recorder.kernel import RecordedKernel, Sockets, read_connection

_ALONE_S = 20.0
"""Without any kernel for so long it ends."""
_LOOK_S = 2.0
"""A server that holds the kernels and has not said hello: looked at again this often."""
_GATHER_S = 0.005
"""Between two rounds while output comes: many messages then cost one wake-up."""


@dataclass(frozen=True, slots=True)
class RecorderPaths:
    """Directories: connection files and sockets, the spool, the launcher's records (for the server's lock)."""

    sockets: Path
    spool: Path
    records: Path


class Other(Exception):  # noqa: N818 - a fact, not a fault
    """A server of another version has come, and no cell is under way: `python` is the interpreter to go on in."""

    def __init__(self, python: str) -> None:
        super().__init__(python)
        self.python = python


@dataclass(slots=True)
class Recorder:
    """All of it. `served` is which server (descriptor) serves which tabs."""

    places: RecorderPaths
    python: str
    """Whose code this is; another one's is taken on when no cell is under way."""
    max_bytes: int
    context: Sockets
    callers: Clients
    changes: int
    wake: int
    """Readable when a signal has come."""
    kernels: dict[str, RecordedKernel] = field(default_factory=dict)
    served: dict[int, set[tuple[str, str]]] = field(default_factory=dict)
    unsure: bool = True
    """No server has said hello since we are here, and one may be standing at its tabs' places."""
    alone_since: float = 0.0
    heir: str = ""
    """The interpreter of a server of another version."""

    def run(self) -> None:
        """Until the end. Raises Other. Who can call us may rely on it that every kernel is listened to."""
        self.alone_since = time.monotonic()
        self.look()
        self.callers.listen()
        self.settle()
        while True:
            ready = self._poll()
            if self.wake in ready:
                self.look()
                return
            if self.changes in ready:
                inotify.forget(self.changes)
                self.look()
            for kernel in self.kernels.values():
                kernel.take()
            for descriptor in self.callers.descriptors():
                if descriptor in ready:
                    self._hear(descriptor)
            if self.unsure:
                self.settle()
            self._hand_over()
            if not self.kernels and time.monotonic() - self.alone_since >= _ALONE_S:
                return
            if ready:
                time.sleep(_GATHER_S)

    def _hand_over(self) -> None:
        """Not while a cell is under way: nobody listens until the one has become the other."""
        if self.heir and not any(kernel.works for kernel in self.kernels.values()):
            raise Other(self.heir)

    def close(self) -> None:
        """Let go of everything."""
        for kernel in self.kernels.values():
            kernel.close()
        self.callers.close()
        self.context.destroy(linger=0)

    def _poll(self) -> set[int]:
        poller = zmq.Poller()
        for descriptor in (self.wake, self.changes, *self.callers.descriptors()):
            poller.register(descriptor, zmq.POLLIN)
        for kernel in self.kernels.values():
            for each in kernel.sockets():
                poller.register(each, zmq.POLLIN)
        wait = _LOOK_S if self.unsure else None
        if not self.kernels:
            wait = max(0.0, self.alone_since + _ALONE_S - time.monotonic())
        found = poller.poll(None if wait is None else int(wait * 1000) + 1)
        return {each if isinstance(each, int) else -1 for each, _ in found}

    def look(self) -> None:
        """Take up kernels that are new, and let go of those whose connection file is gone."""
        there = {path.name[len("kernel-") : -len(".json")]: path for path in self.places.sockets.glob("kernel-*.json")}
        for gone in self.kernels.keys() - there.keys():
            self.kernels.pop(gone).close()
            self.alone_since = time.monotonic()
        for path in self.places.spool.glob("*/"):
            if path.name not in there:
                _remove(path)
        for name in there.keys() - self.kernels.keys():
            with contextlib.suppress(OSError, ValueError, KeyError):  # not whole yet: it says so again when it is
                connection = read_connection(there[name])
                directory = self.places.spool / name
                self.kernels[name] = RecordedKernel(self.context, connection, directory, self.max_bytes)

    def settle(self) -> None:
        """Whether we have to stand at the places of all absent tabs: yes, once no server can be there."""
        self.unsure = not self.served and clients.server_runs(self.places.records / "server.lock")
        if self.unsure:
            return
        served = set[tuple[str, str]]().union(*self.served.values())
        for name, kernel in self.kernels.items():
            for session in kernel.absent():
                if (name, session) not in served:
                    kernel.stand(session)

    def _hear(self, descriptor: int) -> None:
        if descriptor == self.callers.listener.fileno():
            self.callers.accept()
            return
        said = self.callers.read(descriptor)
        if said is None:
            left = self.served.pop(descriptor, set())
            for kernel, session in left.difference(*self.served.values()):
                self._stand(kernel, session)
            return
        for message in said:
            self._do(descriptor, message)

    def _do(self, descriptor: int, message: ToRecorder) -> None:
        match message:
            case Hello(python=python, max_bytes=max_bytes, tabs=tabs):
                self.heir = python if python != self.python and os.access(python, os.X_OK) else ""
                self._limit(max_bytes)
                self.served[descriptor] = set(tabs)
                for kernel, session in tabs:
                    self._leave(kernel, session)
                self.settle()
            case Back(kernel=kernel, session=session):
                if kernel not in self.kernels:
                    self.look()
                self.served.setdefault(descriptor, set()).add((kernel, session))
                self.callers.answer(descriptor, Yours(kernel, session, self._leave(kernel, session)))
            case Away(kernel=kernel, session=session):
                self.served.setdefault(descriptor, set()).discard((kernel, session))
                self._stand(kernel, session)
            case Over(kernel=kernel, why=why, before=before):
                found = self.kernels.get(kernel)
                last = b"" if found is None else found.over(why, before.encode())
                self.callers.answer(descriptor, Told(kernel, last.hex()))

    def _limit(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        for kernel in self.kernels.values():
            kernel.limit(max_bytes)

    def _stand(self, kernel: str, session: str) -> None:
        found = self.kernels.get(kernel)
        if found is not None and session in found.absent():
            found.stand(session)

    def _leave(self, kernel: str, session: str) -> bool:
        found = self.kernels.get(kernel)
        return found is not None and found.leave(session)


def _remove(directory: Path) -> None:
    with contextlib.suppress(OSError):  # a tab that connects at this moment: another time
        for each in directory.iterdir():
            each.unlink()
        directory.rmdir()


def begin(places: RecorderPaths, python: str, max_bytes: int, wake: int) -> Recorder:
    """OSError when the directories are not there."""
    return Recorder(
        places, python, max_bytes, zmq.Context(), Clients(places.sockets / spool.SOCKET),
        inotify.watch(places.sockets), wake,
    )  # fmt: skip
