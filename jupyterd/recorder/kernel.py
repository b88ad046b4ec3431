"""Records one kernel: subscribes to its output, and holds the ZMQ identities of its absent tabs.

A tab's identity is its session id, on DEALER sockets at the kernel's shell and stdin channels. What the kernel sends
to it (an execute_reply, a question of input()) is dropped if no socket has that identity.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import zmq

from jupyterd.linux import kept
from jupyterd.protocol import cursors, documents, spool
from jupyterd.recorder.made_replies import Made, MessageParts, Replies, header
from jupyterd.recorder.spool_writer import SpoolWriter

_AT_ONCE = 500
"""Messages taken from one kernel before the others have their turn."""
_DELIMITER = b"<IDS|MSG>"
_LEAST_FRAMES = 5
_AGAIN_MS = 20
"""Between two attempts to connect. A kernel works some 100 ms after it has bound its sockets, and a request may wait
for it: with libzmq's 100 to 200 ms its first words had nobody to hear them."""
_QUIET_MS, _LAST_WORDS_S = 20, 1.0
"""The output of a dead kernel counts as complete when nothing more has come for this long."""
_OWN_REPLY_S = 0.25
"""A made reply waits so long for the kernel's own, which comes on another connection than the end of its cell."""
_GAP = "output may be missing here: the recorder had ended, and nothing was recorded until it was running again"

Socket = zmq.Socket[bytes]
Sockets = zmq.Context[Socket]


@dataclass(frozen=True, slots=True)
class ConnectionFile:
    """The content of a connection file."""

    transport: str
    ip: str
    iopub: int
    shell: int
    stdin: int

    def address(self, port: int) -> str:
        """The address of `port` for zmq."""
        joint = ":" if self.transport == "tcp" else "-"
        return f"{self.transport}://{self.ip}{joint}{port}"


@dataclass(frozen=True, slots=True)
class _Connection:
    """The fields as jupyter_client names them."""

    transport: str
    ip: str
    iopub_port: int
    shell_port: int
    stdin_port: int


def read_connection(path: Path) -> ConnectionFile:
    """OSError, ValueError when it is not there, or not whole yet."""
    info = documents.structured(documents.document(kept.read(path)), _Connection)
    return ConnectionFile(info.transport, info.ip, info.iopub_port, info.shell_port, info.stdin_port)


class RecordedKernel:
    """Owns its sockets and its spool."""

    def __init__(self, context: Sockets, connection: ConnectionFile, directory: Path, max_bytes: int) -> None:
        self._context, self._connection, self._directory = context, connection, directory
        self._spool = SpoolWriter(directory, max_bytes)
        self._replies = Replies()
        self._held: dict[str, tuple[Socket, Socket]] = {}
        self._questions: list[list[bytes]] = []
        self._deferred: dict[str, tuple[Made, float]] = {}
        """Replies made for tabs whose identity is held, by msg_id of the request, and until when (monotonic) they wait
        for the kernel's own: only that one has payload and user_expressions."""
        self._append(self._recovered())
        self._append(self._replies.remark(_GAP))
        self.iopub: Socket = context.socket(zmq.SUB)
        self.iopub.rcvhwm = 0  # what is not read yet waits here rather than being dropped at 1000 messages
        self.iopub.linger = 0
        self.iopub.reconnect_ivl = _AGAIN_MS
        self.iopub.subscribe(b"")
        self.iopub.connect(connection.address(connection.iopub))

    def _recovered(self) -> list[Made]:
        """Follow the spool of an earlier recorder. Returns the replies that it made and did not come to record."""
        unrecorded: dict[str, Made] = {}
        for each in self._spool.recover():
            match each.kind:
                case spool.IOPUB:
                    made = self._replies.follow(each.frames)
                    unrecorded |= {spool.message_id(one.frames[2]): one for one in made if one.kind == spool.REPLY}
                case spool.SHELL:
                    self._recorded_reply(each.frames)
                case spool.REPLY:
                    request = spool.message_id(each.frames[2])
                    self._replies.ended(request)
                    unrecorded.pop(request, None)
                case spool.END:
                    self._replies.forget()
        return list(unrecorded.values())

    def _recorded_reply(self, frames: MessageParts) -> None:
        if spool.message_type(frames[1]) == b"execute_reply":
            request = spool.message_id(frames[2])
            self._replies.answered(request)
            self._deferred.pop(request, None)

    def limit(self, max_bytes: int) -> None:
        """Set the bound of the spool, bytes."""
        self._spool.max_bytes = max_bytes

    @property
    def trouble(self) -> str:
        """Why its output is not kept at present, one phrase; "" while it is."""
        return self._spool.trouble

    def try_again(self) -> None:
        """See whether a trouble is over."""
        self._spool.try_again()

    def sockets(self) -> list[Socket]:
        """All that can become readable."""
        return [self.iopub, *(each for both in self._held.values() for each in both)]

    @property
    def runs_cell(self) -> bool:
        """Whether a cell is running or waiting, or its reply is under way."""
        return self._replies.pending or bool(self._deferred)

    def deadline(self) -> float | None:
        """When `take` has something to do (monotonic) although nothing has arrived."""
        return min((until for _, until in self._deferred.values()), default=None)

    def absent(self) -> list[str]:
        """Session ids of tabs that are not connected and may come back."""
        return [each.session for each in cursors.read(self._directory / spool.MARKS) if each.held]

    def hold_identity(self, session: str) -> None:
        """Connect to shell and stdin under this session id, so that what the kernel sends to the absent tab reaches the
        spool. If the kernel closes the connection (the server has taken the identity), it is not made again.
        """
        if session in self._held:
            return
        made = []
        try:
            for port in (self._connection.shell, self._connection.stdin):
                socket: Socket = self._context.socket(zmq.DEALER)
                made.append(socket)
                socket.setsockopt(zmq.IDENTITY, session.encode())
                socket.linger, socket.reconnect_ivl = 0, -1
                socket.connect(self._connection.address(port))
        except (zmq.ZMQError, ValueError) as error:  # no identity for ZMQ, or too many open files
            for each in made:
                each.close()
            kept.say(f"the absent tab {session!r} of kernel {self._directory.name} may miss replies: {error}")
            return
        self._held[session] = (made[0], made[1])

    def release_identity(self, session: str) -> bool:
        """Take what has arrived and disconnect, so that the tab can have its identity; False: it was not held."""
        both = self._held.pop(session, None)
        if both is None:
            return False
        whose = spool.tag(session)
        self._take_replies(whose, both)
        while (left_s := self._wait_left_s(whose)) > 0 and both[0].poll(int(left_s * 1000) + 1):
            self._take_replies(whose, both)
        self._append_deferred(lambda made, _until: made.whose == whose)
        for socket in both:
            socket.close()
        return True

    def take(self) -> None:
        """Append messages that have arrived, at most 500 of each socket. A reply or a question waits until all output
        that came before it is recorded: among the output it would split the middle that the bound drops.
        """
        if self._take(self.iopub, spool.IOPUB, spool.NOBODY):
            self._take_all_replies()
            now = time.monotonic()
            self._append_deferred(lambda _made, until: until <= now)

    def questions(self) -> list[list[bytes]]:
        """The frames (as of Spooled) of what the kernel has asked absent tabs since this was called last."""
        found, self._questions = self._questions, []
        return found

    def end_cells(self, why: str, before: bytes) -> bytes:
        """End cells in the spool, as recorder_channel.Over says. Returns the digest of the last record, b"" if none.
        Waits up to 1 s for what a dead kernel has said.
        """
        until = time.monotonic() + _LAST_WORDS_S
        while self.iopub.poll(_QUIET_MS) and time.monotonic() < until:
            self.take()
        self._take_all_replies()  # the loop takes them only where there is output, and not behind 500 messages of it
        self._append_deferred(lambda _made, _until: True)
        made = self._replies.close(why, before)
        if not before:
            end = [b"", header("jupyterd_end"), b"{}", b"{}", json.dumps({"why": why}).encode()]
            made.append(Made(spool.END, spool.NOBODY, end))
        self._append(made)
        return spool.digest(made[-1].frames[1]) if made else b""

    def close(self) -> None:
        """Close sockets and files; the spool stays on disk."""
        for session in list(self._held):
            self.release_identity(session)
        self.iopub.close()
        self._spool.close()

    def _take_all_replies(self) -> None:
        for session, both in self._held.items():
            self._take_replies(spool.tag(session), both)

    def _take_replies(self, whose: bytes, both: tuple[Socket, Socket]) -> None:
        for kind, socket in zip((spool.SHELL, spool.STDIN), both, strict=True):
            self._take(socket, kind, whose)

    def _wait_left_s(self, whose: bytes) -> float:
        """How long the kernel's own reply to this tab is still waited for, seconds; 0 or less: it is not."""
        waits = [until for made, until in self._deferred.values() if made.whose == whose]
        return max(waits, default=0.0) - time.monotonic()

    def _append_deferred(self, due: Callable[[Made, float], bool]) -> None:
        for request, (made, until) in list(self._deferred.items()):
            if due(made, until):
                del self._deferred[request]
                self._append([made])

    def _take(self, socket: Socket, kind: int, whose: bytes) -> bool:
        """Whether that was all."""
        for _ in range(_AT_ONCE):
            try:
                parts = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return True
            frames = parts[parts.index(_DELIMITER) + 1 :] if _DELIMITER in parts else []
            if len(frames) < _LEAST_FRAMES:
                continue
            self._spool.append(kind, whose, frames)
            if kind == spool.IOPUB:
                self._append_or_defer(self._replies.follow(frames))
            elif kind == spool.SHELL:
                self._recorded_reply(frames)
            elif kind == spool.STDIN:
                self._questions.append(frames)
        return False

    def _append_or_defer(self, made: list[Made]) -> None:
        held = {spool.tag(session) for session in self._held} if made else set()
        for each in made:
            if each.kind == spool.REPLY and each.whose in held:
                self._deferred[spool.message_id(each.frames[2])] = (each, time.monotonic() + _OWN_REPLY_S)
            else:
                self._append([each])

    def _append(self, made: list[Made]) -> None:
        for each in made:
            self._spool.append(each.kind, each.whose, each.frames)
