"""The supervisor's children by role: starts and signals them, and turns their messages and exits into events.

Decides nothing.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from jupyterd.core.effects import SendableSignal, Spawn
from jupyterd.core.events import ChildExited, ChildStarted, Event, ProcessInspected, Role, SpawnFailed
from jupyterd.linux import proc, waits
from jupyterd.protocol import heartbeat, server_channel
from jupyterd.protocol.plan import Command
from jupyterd.protocol.value import value
from jupyterd.supervisor import leftovers, process
from jupyterd.supervisor.pipes import Document, FramePipe
from jupyterd.supervisor.poller import READ, Poller
from jupyterd.supervisor.server_channel import Channel, Complain

NAMES = {
    Role.SERVER: "server", Role.RETIRED: "server", Role.SPARE: "server", Role.SAMPLER_RELAY: "gpu",
    Role.PLANNER: "planner",
    Role.ENDER: "ender", Role.CULLER: "culler",
}  # fmt: skip
"""Role -> the name that marks its output; the journal identifier has "jupyterd-" before it."""

_TICKS = os.sysconf("SC_CLK_TCK")
SPARE_NICE = 10
"""The nice value of a spare: it imports while the server answers its first requests."""
Streams = Callable[[str], int]
"""Name -> a descriptor for a child's output that the caller closes: journal.Journal.stream, console.Console.stream"""


@value
class _Child:
    """One child and our end of its pipe or channel."""

    role: Role
    process: process.SpawnedProcess
    voice: Channel | Document | FramePipe | None
    """Reads what it sends us; None for a child that sends nothing."""
    beat: int | None = None
    """Server and spare: descriptor of the shared memory of protocol.heartbeat."""
    retire: int | None = None
    """The same: an eventfd (protocol.heartbeat.RETIRE)."""

    def close(self) -> None:
        """Close our descriptors of this child."""
        if self.voice is not None:
            self.voice.close()
        for each in (self.beat, self.retire):
            if each is not None:
                os.close(each)


class Children:
    """Owns the pidfds, our ends of the pipes and the channel."""

    def __init__(
        self, poller: Poller, streams: Streams, watchdog_s: float, complain: Complain, cgroup: str | None = None
    ) -> None:
        """`cgroup`: as leftovers.look takes it."""
        self._cgroup = cgroup
        self._poller = poller
        self._streams = streams
        self._watchdog_s = watchdog_s
        self._complain = complain
        self._by_role: dict[Role, _Child] = {}
        self._abandoned: dict[int, _Child] = {}

    def pids(self) -> set[int]:
        """The pids of all children that have not been reaped."""
        return {child.process.pid for child in (*self._by_role.values(), *self._abandoned.values())}

    def end_leftovers(self, server: int) -> list[str]:
        """End what a server that has ended has left behind; the name of each, for a message."""
        return leftovers.end(server, self._cgroup, self.pids(), self._poller)

    def spawn(self, spawn: Spawn, listeners: tuple[int, ...]) -> ChildStarted | SpawnFailed:
        """Start a child; server and spare inherit the sockets `listeners`."""
        try:
            child = self._start(spawn.role, spawn.command, listeners)
        except OSError as error:
            return SpawnFailed(spawn.role, f"{error.filename or spawn.command.argv[0]}: {error.strerror}")
        self._by_role[spawn.role] = child
        self._poller.register(child.process.pidfd, READ, partial(self._ended, child))
        return ChildStarted(spawn.role, child.process.pid, child.process.started)

    def signal(self, role: Role, pid: int, name: SendableSignal) -> None:
        """Signal a child. One that has already ended is not an error."""
        child = self._by_role.get(role)
        if child is not None and child.process.pid == pid:
            process.send(child.process, name)

    def send(self, message: server_channel.ToServer) -> None:
        """Send a message to the running server; dropped if there is none."""
        child = self._by_role.get(Role.SERVER)
        if child is not None and isinstance(child.voice, Channel):
            child.voice.send(message)

    def promote(self, pid: int) -> None:
        """Give the spare with this pid the role of the server, which has ended. It may still import: it is in a hurry
        from here on. One that somebody has stopped (SIGSTOP) while it stood by would keep everybody waiting.
        """
        if (spare := self._change_role(Role.SPARE, pid, Role.SERVER)) is not None:
            process.send(spare.process, "CONT")
            process.set_nice(spare.process, 0)

    def retire(self, pid: int) -> None:
        """Give the server with this pid the role of the retired one, and wake the thread in it that waits for that."""
        server = self._change_role(Role.SERVER, pid, Role.RETIRED)
        if server is not None and server.retire is not None:
            os.eventfd_write(server.retire, 1)

    def _change_role(self, before: Role, pid: int, after: Role) -> _Child | None:
        child = self._by_role.get(before)
        if child is None or child.process.pid != pid:
            return None
        del self._by_role[before]
        changed = self._by_role[after] = replace(child, role=after)
        self._poller.register(changed.process.pidfd, READ, partial(self._ended, changed))
        return changed

    def inspect(self, pid: int) -> ProcessInspected:
        """The state of the process, from /proc and the shared memory, which never block."""
        children = (self._by_role.get(Role.SERVER), self._by_role.get(Role.RETIRED))
        memory = next((each.beat for each in children if each is not None and each.process.pid == pid), None)
        turned, requests = (None, "") if memory is None else (heartbeat.read(memory), heartbeat.requests(memory))
        found = proc.stat(pid)
        state, worked_s = ("", 0.0) if found is None else (found.state, found.cpu / _TICKS)
        wait = waits.of(pid)
        return ProcessInspected(
            pid, state, *proc.scheduled_s(pid), turned, worked_s, wait.what, wait.on_disk, requests, wait.mount
        )

    def abandon(self, role: Role, pid: int) -> None:
        """Stop listening to a child that SIGKILL did not end; it is still reaped when it ends."""
        child = self._by_role.get(role)
        if child is not None and child.process.pid == pid:
            del self._by_role[role]
            self._abandoned[pid] = child
            child.close()

    def _start(self, role: Role, command: Command, listeners: tuple[int, ...]) -> _Child:
        stream = self._streams(NAMES[role])
        try:
            if role in {Role.SERVER, Role.SPARE}:
                return self._start_server(role, command, stream, listeners)
            if role in {Role.ENDER, Role.CULLER}:
                return _Child(role, process.spawn(command, stdout=stream, stderr=stream), None)
            return self._start_speaker(role, command, stream)
        finally:
            os.close(stream)

    def _start_server(self, role: Role, command: Command, stream: int, listeners: tuple[int, ...]) -> _Child:
        memory, retire = heartbeat.create(), os.eventfd(0, os.EFD_CLOEXEC)
        ours, theirs = socket.socketpair()
        with theirs:
            handed = (
                (heartbeat.BEAT, str(memory)),
                (heartbeat.RETIRE, str(retire)),
                (server_channel.CHANNEL, str(theirs.fileno())),
                (server_channel.LISTEN, ",".join(str(fd) for fd in listeners)),
                (server_channel.PROBLEMS, "1"),
            )
            spare = ((server_channel.SPARE, "1"),) if role is Role.SPARE else ()
            told = Command(command.argv, (*command.env, *handed, *spare), command.cwd)
            fds = (memory, retire, theirs.fileno(), *listeners)
            try:
                started = process.spawn(told, stdout=stream, stderr=stream, pass_fds=fds)
            except OSError:
                ours.close()
                os.close(memory)
                os.close(retire)
                raise
        if role is Role.SPARE:
            process.set_nice(started, SPARE_NICE)
        return _Child(role, started, Channel(self._poller, ours, started.pid, self._complain), memory, retire)

    def _start_speaker(self, role: Role, command: Command, stream: int) -> _Child:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            started = process.spawn(command, stdout=writing, stderr=stream)
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        if role is Role.PLANNER:
            return _Child(role, started, Document(self._poller, reading, self._watchdog_s))
        return _Child(role, started, FramePipe(self._poller, reading))

    def _ended(self, child: _Child) -> Iterable[Event]:
        """The events of a child whose pidfd is readable: what it still sent, then its exit."""
        end = process.reap(child.process)
        if end is None:
            return []
        self._poller.unregister(child.process.pidfd)
        os.close(child.process.pidfd)
        pid = child.process.pid
        if self._abandoned.pop(pid, None) is not None:
            return [ChildExited(child.role, pid, end.code, end.signal)]
        del self._by_role[child.role]
        said: list[Event] = []
        if child.voice is not None:
            said += child.voice.turn()
        child.close()
        if isinstance(child.voice, Document):
            said.append(child.voice.answer(end))
        return [*said, ChildExited(child.role, pid, end.code, end.signal)]
