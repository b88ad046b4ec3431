"""One tab's websocket to a kernel: Jupyter's own, with the messages that the tab missed merged in by replay.py.

Carries out what replay.py decides; spool_reader.py reads, acknowledge.py keeps the cursor.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import zmq
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado.websocket import WebSocketClosedError

from jupyterd.protocol import spool
from jupyterd.protocol.cursors import Cursor
from jupyterd.server.channels import replay, unsaved_output
from jupyterd.server.channels.acknowledge import Acknowledgements
from jupyterd.server.channels.backlog import Backlog
from jupyterd.server.channels.recorder_client import RecorderClient
from jupyterd.server.channels.replay_state import (
    Deliver,
    Live,
    Output,
    PassOn,
    Reached,
    ReadOn,
    ReadSpool,
    Replay,
    SayGap,
    SayKernelEnded,
    Step,
)
from jupyterd.server.channels.spool_reader import SpoolReader

_DELIMITER = b"<IDS|MSG>"
_UNPACED_BYTES = 1 << 18
"""Written without waiting for the browser to take it."""
_WRITTEN_TIMEOUT_S = 3.0
_LAST_ACKNOWLEDGED_TIMEOUT_S, _LAST_ACKNOWLEDGED_POLL_S = 0.3, 0.01
_PING, _REPEATED = "jupyterd:ping", "jupyterd:repeated"
"""Of sockets.js: answered; the next message may have come before."""
_GOING_AWAY = 1001
"""Close code of a page that was closed or left (RFC 6455, 7.4.1): it does not come back."""


class KernelWebsocket(ZMQChannelsWebsocketConnection):
    """jupyter_server's hook: ServerApp.kernel_websocket_connection_class."""

    _acknowledged: Acknowledgements | None = None
    """None where the cursor table cannot be used: the tab then works as in any Jupyter."""
    _replay: Replay
    _backlog: Backlog
    _waiting: dict[bytes, asyncio.Future[None]]
    """Digest of a record that somebody waits for (`show_record`)."""
    _task: asyncio.Future[None]
    """Reads the spool."""
    _last_write: Any = None
    _unflushed_bytes = _unpaced_bytes = 0
    """Of all messages; of those on standard output and error, to which alone Jupyter's limit in bytes applies."""
    _is_page = False
    """Whether the client is a page with our extension."""
    _begin: Cursor | None = None
    """Where a page that shows the output of earlier pages' cells begins."""
    _connected = _disconnected = _repeated = False
    """`connect` was called; `disconnect` was."""
    _announced_ends: ClassVar[set[tuple[str, bytes]]] = set()
    """(session id, digest of the END record): kernel deaths that Jupyter has shown to that tab."""

    # --- connect and disconnect ---------------------------------------------------------------------------------

    @property
    def _recorder(self) -> RecorderClient:
        client: RecorderClient = self.multi_kernel_manager.recorder
        return client

    @property
    def _directory(self) -> Path:
        """The kernel's spool."""
        directory: Path = self._recorder.directory / self.kernel_id
        return directory

    async def prepare(self) -> None:
        """jupyter_server's hook, before the channels are made: take the tab's ZMQ identity back from the recorder."""
        info = getattr(self.kernel_manager, "_kernel_info_future", None)
        if info is not None and info.done():
            self.kernel_info_timeout = 0  # of a timer that else holds this connection for a minute after its end
        await super().prepare()
        self.kernel_info_timeout = self.multi_kernel_manager.kernel_info_timeout
        await self._recorder.take_identity(self.kernel_id, self.session_id)
        if self.websocket_handler.get_argument(unsaved_output.PARAMETER, "") == unsaved_output.AGAIN:
            self._begin = await asyncio.to_thread(unsaved_output.begin, self._directory)

    def connect(self) -> Any:  # noqa: ANN401 - jupyter_server's own
        """jupyter_server's hook: the websocket is open. Reading the spool begins once the channels work."""
        self._connected = True
        self._is_page = unsaved_output.is_page(self.websocket_handler)
        connected = self._recorder.connected_tabs(self.kernel_id)
        with contextlib.suppress(OSError, ValueError):
            websocket = self.websocket_handler
            self._acknowledged = Acknowledgements(self._directory, self.session_id, connected, websocket, self._begin)
            others = unsaved_output.sessions(self._directory) if self._is_page else ()
            self._replay, outputs = replay.begin(self.session_id, self._acknowledged.begin, others)
            self._backlog, self._waiting = Backlog(), {}
        connecting = super().connect()
        if connecting is not None and self._acknowledged is not None:
            connecting.add_done_callback(lambda _: self._apply((self._replay, () if self._disconnected else outputs)))
        if connecting is None:  # the kernel is gone; jupyter_server awaits the answer all the same
            self.websocket_handler.close()
            connecting = asyncio.get_running_loop().create_future()
            connecting.set_result(None)
        return connecting

    def disconnect(self) -> None:  # type: ignore[override]  # as in the class above
        """jupyter_server's hook; may be called twice, and before `connect`: the browser left while `prepare` ran."""
        if self._disconnected:
            return
        self._disconnected = True
        if not self._connected:  # what is given back below was not taken yet
            self.multi_kernel_manager.notify_connect(self.kernel_id)
            self._open_sockets.add(self)
        super().disconnect()
        if self._acknowledged is not None:
            self._apply(replay.leave(self._replay))
            gone = getattr(self.websocket_handler, "close_code", None) == _GOING_AWAY
            held = not gone or self.session_id in unsaved_output.sessions(self._directory)
            self._acknowledged.leave(held=held, gone=gone)
        if self._open_sessions.get(self.session_key) is None:  # otherwise the same tab has reconnected already
            self._recorder.give_identity(self.kernel_id, self.session_id)

    @classmethod
    def let_go(cls) -> None:
        """Retired (core/busy.py): free every tab's ZMQ identity and cursor for the next server. In a
        thread, while the event loop may stand still: what it does to these tabs later finds them disconnected.
        """
        for each in tuple(cls._open_sockets):
            if isinstance(each, KernelWebsocket):
                each.release()

    def release(self) -> None:
        """See let_go."""
        self._disconnected = True
        if self._acknowledged is not None:
            self._acknowledged.close()
        for stream in tuple(self.channels.values()):
            if not stream.closed():
                stream.close(linger=0)

    @classmethod
    async def close_all(cls) -> None:
        """jupyter_server's hook: the server ends. Waits a moment for acknowledgements of what was written."""
        tabs = cls.open_tabs()
        for each in tabs:
            each.stop_output()
        until = time.monotonic() + _LAST_ACKNOWLEDGED_TIMEOUT_S
        while any(each.awaits_pong for each in tabs) and time.monotonic() < until:  # noqa: ASYNC110 - 0.3 s at most
            await asyncio.sleep(_LAST_ACKNOWLEDGED_POLL_S)
        await super().close_all()

    @classmethod
    async def show_record(cls, kernel_id: str, digest: bytes) -> None:
        """Return when each tab of this kernel was sent the spool up to this record, or after 3 s."""
        if waiting := [each.wait_for(digest) for each in cls.open_tabs() if each.kernel_id == kernel_id]:
            await asyncio.wait(waiting, timeout=_WRITTEN_TIMEOUT_S)

    @classmethod
    def show_question(cls, kernel_id: str, frames: tuple[bytes, ...]) -> None:
        """The kernel has asked a tab that is absent: a page that shows that tab's cells shows the question."""
        for each in cls.open_tabs():
            if each.kernel_id == kernel_id and each.is_page:
                each.ask(frames)

    @classmethod
    def open_tabs(cls) -> list[KernelWebsocket]:
        """Those of this server that have a cursor."""
        return [each for each in cls._open_sockets if isinstance(each, KernelWebsocket) and each.has_cursor]

    @property
    def has_cursor(self) -> bool:
        """Whether the tab is connected and its cursor is kept."""
        return self._acknowledged is not None and not self._disconnected

    @property
    def awaits_pong(self) -> bool:
        """Whether the browser has not acknowledged all that was written."""
        return self._acknowledged is not None and self._acknowledged.awaits_pong

    @property
    def is_page(self) -> bool:
        """Whether the client is a page with our extension."""
        return self._is_page

    def ask(self, frames: tuple[bytes, ...]) -> None:
        """Send a message of the stdin channel (as of Spooled)."""
        self._carry_out(Deliver("stdin", frames))

    def stop_output(self) -> None:
        """Write no more output: the server ends."""
        self._apply(replay.leave(self._replay))

    def wait_for(self, digest: bytes) -> asyncio.Future[None]:
        """Done when this record of the spool was written, or will not be. Only for a tab that `has_cursor`. If it is
        the end of the kernel: Jupyter itself shows that one.
        """
        assert self._acknowledged is not None  # noqa: S101 - has_cursor
        self._announced_ends.add((self.session_id, digest))
        waiting = self._waiting.setdefault(digest, asyncio.get_running_loop().create_future())
        self._apply(replay.wait_for(self._replay, digest, self._acknowledged.sent))
        return waiting

    # --- jupyter_server's hooks for messages --------------------------------------------------------------------

    def handle_incoming_message(self, incoming_msg: Any) -> None:  # noqa: ANN401 - jupyter_server's: str, for v1 bytes
        """jupyter_server's hook: from the browser to the kernel. Our page's question whether this connection is alive
        gets itself as the answer.
        """
        if incoming_msg == _PING:
            self.write_message(incoming_msg)
            return
        if incoming_msg == _REPEATED:
            self._repeated = True
            return
        repeated, self._repeated = self._repeated, False
        noted = self._is_page and self._connected and isinstance(incoming_msg, bytes)
        if noted and unsaved_output.note(self._directory, self.session_id, incoming_msg, self.log, repeated=repeated):
            return
        super().handle_incoming_message(incoming_msg)

    def handle_outgoing_message(self, stream: Any, outgoing_msg: list[bytes]) -> None:  # noqa: ANN401 - jupyter_server's
        """jupyter_server's hook: from the kernel to the browser. `stream` is a ZMQStream or the channel's name."""
        if self._acknowledged is None:
            super().handle_outgoing_message(stream, outgoing_msg)
            return
        channel = str(getattr(stream, "channel", stream))
        if channel == "iopub":
            more = bool(stream.socket.getsockopt(zmq.EVENTS) & zmq.POLLIN)
            self._backlog.note(more=more, now=time.monotonic())
        self._apply(replay.arrived(self._replay, channel, outgoing_msg))

    @property
    def write_message(self) -> Any:  # noqa: ANN401 - jupyter_server's own
        """jupyter_server's own, counting bytes; its result is awaited by `_flush`. Nothing where the browser left and
        `disconnect` is about to be called.
        """

        def write(message: bytes | str, binary: bool = False) -> None:  # noqa: FBT001, FBT002 - tornado's
            with contextlib.suppress(WebSocketClosedError):
                self._last_write = self.websocket_handler.write_message(message, binary=binary)
                self._unflushed_bytes += len(message)

        return write

    def _limit_rate(self, channel: str, msg: dict[str, Any], msg_list: list[bytes]) -> bool:
        """jupyter_server's hook: True drops the message. Where there is a recorder the tab then reads it from the
        spool; what was read from there is paced already.
        """
        if self._acknowledged is not None and not isinstance(self._replay.phase, Live):
            return False
        recorded = self._acknowledged is not None and self._recorder.connected
        doubtful = recorded and channel == "iopub" and self._backlog.doubtful
        over = doubtful or bool(super()._limit_rate(channel, msg, msg_list))
        if over and recorded and self._acknowledged is not None:
            self._iopub_msgs_exceeded = self._iopub_data_exceeded = False
            self._apply(replay.fell_behind(self._replay, self._acknowledged.sent))
        return over

    def write_stderr(self, error_message: str, parent_header: Any) -> None:  # noqa: ANN401 - jupyter_server's own
        """jupyter_server's hook, which says that output was dropped: with a recorder none is."""
        if self._acknowledged is None or not self._recorder.connected:
            super().write_stderr(error_message, parent_header)

    # --- what replay.py decided ---------------------------------------------------------------------------------

    def _apply(self, step: Step) -> None:
        self._replay, outputs = step
        for each in outputs:
            self._carry_out(each)

    def _carry_out(self, output: Output) -> None:
        match output:
            case ReadSpool():
                self._task = asyncio.ensure_future(self._catch_up(output))
            case Deliver(channel=channel, frames=frames, header=header, replied=replied):
                self._note_question(channel, frames)
                self._note(replied=replied)
                self._write(channel, list(frames))
                self._note(header)
            case PassOn():
                self._pass_on(output)
            case SayGap():
                self._say_gap(output)
            case SayKernelEnded(digest=digest, header=header):
                self._say_kernel_ended(digest)
                self._note(header)
            case Reached(digests=digests):
                for future in (self._waiting.pop(each, None) for each in digests):
                    if future is not None and not future.done():
                        future.set_result(None)
            case ReadOn():
                pass  # for _read_spool

    async def _catch_up(self, order: ReadSpool) -> None:
        try:
            await self._read_spool(order)
        except WebSocketClosedError:
            return
        except Exception:  # a damaged spool must not cost the live connection
            self.log.exception("The output of kernel %s that this page missed cannot be shown in full", self.kernel_id)
            with contextlib.suppress(WebSocketClosedError):
                self._apply(replay.give_up(self._replay))

    async def _read_spool(self, order: ReadSpool) -> None:
        reader = SpoolReader(self._directory, order.cursor)
        try:
            await asyncio.to_thread(reader.begin)
            while True:
                records = await asyncio.to_thread(reader.read)
                self._replay, outputs = replay.read(self._replay, records)
                for each in outputs:
                    if self._disconnected:
                        return
                    self._carry_out(each)
                    await self._flush(paced=order.paced)
                if self._disconnected:
                    return
                self._replay, outputs = replay.written(self._replay, time.monotonic())
                for each in outputs:
                    self._carry_out(each)
                pause = next((each.after_s for each in outputs if isinstance(each, ReadOn)), None)
                if pause is None:
                    return
                await asyncio.sleep(pause)
        finally:
            reader.close()

    def _note(self, header: bytes = b"", replied: bytes | None = None) -> None:
        """What acknowledge.py has to know about a message; `replied` before it is written, `header` after."""
        if self._acknowledged is not None and replied is not None:
            self._acknowledged.replied = replied
        if self._acknowledged is not None and header:
            self._acknowledged.note(header)

    def _note_question(self, channel: str, frames: Sequence[bytes]) -> None:
        if channel == "stdin" and self._is_page:
            unsaved_output.show_question(self._directory, frames)

    def _pass_on(self, order: PassOn) -> None:
        self._note(replied=order.replied)
        for each in order.messages:
            self._note_question(order.channel, each[each.index(_DELIMITER) + 1 :])
            super().handle_outgoing_message(self.channels[order.channel], each)
            if order.channel == "iopub":
                if not isinstance(self._replay.phase, Live):
                    return  # over the rate limit
                self._note(replay.header_and_parent(each)[0])

    def _write(self, channel: str, frames: list[bytes]) -> None:
        signature = frames[0] or self.session.sign(frames[1:5])
        if spool.message_type(frames[1]) == b"stream":
            self._unpaced_bytes += sum(map(len, frames))
        # With the JSON protocol a live message over the rate limit was deserialized already, and would be refused now.
        self.session.digest_history.discard(signature)
        super().handle_outgoing_message(self.channels[channel], [_DELIMITER, signature, *frames[1:]])

    def _say_gap(self, gap: SayGap) -> None:
        """A line on the standard error of the cell."""
        size = f"{gap.count} messages of output ({gap.size_bytes / 1e6:.1f} MB)"
        why = "while this page was not connected there was more output than kernels.spool_max_bytes keeps"
        if not gap.recorded:
            why = "they came while this page was connecting, and jupyterd's recorder has not recorded them"
        text = f"\n[jupyterd: {size} are missing here: {why}]\n"
        message = self.session.msg("stream", {"name": "stderr", "text": text}, parent=json.loads(gap.parent))
        self._write("iopub", self.session.serialize(message)[1:])

    def _say_kernel_ended(self, digest: bytes) -> None:
        """Once, as Jupyter says it to a tab that is connected: the page then gives up what it waits for."""
        if (self.session_id, digest) not in self._announced_ends:
            self._announced_ends.add((self.session_id, digest))
            self._send_status_message("restarting")

    async def _flush(self, *, paced: bool) -> None:
        """Where much was written, wait until it has left this process; `paced`: and as long as the rate limit says."""
        if self._unflushed_bytes <= _UNPACED_BYTES:
            return
        written, self._unflushed_bytes, self._unpaced_bytes = self._unpaced_bytes, 0, 0
        await self._last_write
        if paced and self.iopub_data_rate_limit > 0:
            await asyncio.sleep(written / self.iopub_data_rate_limit)
