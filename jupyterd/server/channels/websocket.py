"""One tab's connection to a kernel: Jupyter's own, which first gets what it has missed, once and in order."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any, ClassVar

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado.websocket import WebSocketClosedError

from jupyterd.protocol import spool
from jupyterd.protocol.cursors import Cursor
from jupyterd.server.channels.acknowledge import Arrival
from jupyterd.server.channels.recorder_client import Recording
from jupyterd.server.channels.replay import Missed, header_and_parent, id_of

_DELIMITER = b"<IDS|MSG>"
_AT_ONCE_BYTES = 1 << 18
_SHOWN_S = 3.0
_LAST_WORDS_S, _LOOK_S = 0.3, 0.01
_GONE = 1001
"""Close code of a page that was closed or left (RFC 6455): it does not come back."""


class KernelWebsocket(ZMQChannelsWebsocketConnection):
    """Jupyter's hook: ServerApp.kernel_websocket_connection_class."""

    _arrival: Arrival | None = None
    """None where there is no table of marks: the tab then works as in any Jupyter."""
    _missed: Missed
    _task: asyncio.Future[None]
    _written: Any = None
    _unflushed = 0
    _ended = False
    _ends_told: ClassVar[set[tuple[str, bytes]]] = set()
    """Sessions, and ends of their kernels that they have been told."""

    # --- coming and going ---------------------------------------------------------------------------------------

    @property
    def _recording(self) -> Recording:
        found: Recording = self.multi_kernel_manager.recording
        return found

    async def prepare(self) -> None:
        """Jupyter's hook: before the channels are made."""
        await super().prepare()
        await self._recording.back(self.kernel_id, self.session_id)

    def connect(self) -> Any:  # noqa: ANN401 - Jupyter's own
        """Jupyter's hook: the websocket is open."""
        directory = self._recording.directory / self.kernel_id
        connected = self._recording.tabs(self.kernel_id)
        with contextlib.suppress(OSError, ValueError):
            self._arrival = Arrival(directory, self.session_id, connected, self._ping)
            self._missed = Missed(self, self.session_id, directory)
            handler: Any = self.websocket_handler
            handler.on_pong = self._arrival.pong
        connecting = super().connect()
        if connecting is not None and self._arrival is not None:
            connecting.add_done_callback(self._begin)
        return connecting

    def _begin(self, _: object) -> None:
        if self._arrival is not None:
            self._task = asyncio.ensure_future(self._catch_up(self._arrival.begin, paced=False))

    def disconnect(self) -> None:  # type: ignore[override]  # as in the class above
        """Jupyter's hook; may come twice."""
        super().disconnect()
        if self._ended:
            return
        self._ended = True
        if self._arrival is not None:
            self._arrival.leave(held=getattr(self.websocket_handler, "close_code", None) != _GONE)
        if self._open_sessions.get(self.session_key) is None:  # else the same tab is here again already
            self._recording.away(self.kernel_id, self.session_id)

    @classmethod
    async def close_all(cls) -> None:
        """Jupyter's hook: the server leaves. What the browsers have got by now is acknowledged within moments."""
        tabs = [each for each in cls._open_sockets if isinstance(each, KernelWebsocket)]
        until = time.monotonic() + _LAST_WORDS_S
        while any([each.falls_silent() for each in tabs]) and time.monotonic() < until:  # noqa: ASYNC110, C419 - a moment
            await asyncio.sleep(_LOOK_S)
        await super().close_all()

    def falls_silent(self) -> bool:
        """Nothing new is sent from here on; True while the browser has not acknowledged what was."""
        if self._arrival is None:
            return False
        self._missed.reading = True
        return self._arrival.awaited

    # --- live messages ------------------------------------------------------------------------------------------

    def handle_outgoing_message(self, stream: Any, outgoing_msg: list[bytes]) -> None:  # noqa: ANN401 - Jupyter's own
        """Jupyter's hook: from the kernel to the browser."""
        if self._arrival is None:
            super().handle_outgoing_message(stream, outgoing_msg)
            return
        header, parent = header_and_parent(outgoing_msg)
        if getattr(stream, "channel", stream) == "iopub":
            if self._missed.reading:
                self._missed.hold(outgoing_msg)
            elif not self._missed.had(header):
                self._pass_on(stream, outgoing_msg, header)
            return
        if spool.message_type(header) == b"execute_reply":
            asked = id_of(parent)
            if self._missed.answered(asked):
                return
            self.replied = spool.tag(asked)
        super().handle_outgoing_message(stream, outgoing_msg)

    def _pass_on(self, stream: Any, message: list[bytes], header: bytes) -> None:  # noqa: ANN401 - Jupyter's own
        super().handle_outgoing_message(stream, message)
        if not self._missed.reading:  # else it was too much at once, and is read again
            self.note(header)

    @property
    def write_message(self) -> Any:  # noqa: ANN401 - Jupyter's own
        """Jupyter's own; what it returns tells when the message has left this process."""

        def write(message: bytes | str, binary: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 - Jupyter's own
            self._written = self.websocket_handler.write_message(message, binary=binary)
            self._unflushed += len(message)
            return self._written

        return write

    def _limit_rate(self, channel: str, msg: dict[str, Any], msg_list: list[bytes]) -> bool:
        """Jupyter's hook: more than a browser should get at once. Stock drops it; here the tab falls behind."""
        if self._arrival is not None and self._missed.reading:
            return False
        over = bool(super()._limit_rate(channel, msg, msg_list))
        if over and self._arrival is not None and self._recording.connected:
            self._iopub_msgs_exceeded = self._iopub_data_exceeded = False
            self._missed.fall_behind(paced=True)
            self._task = asyncio.ensure_future(self._catch_up(self._arrival.sent, paced=True))
        return over

    def write_stderr(self, error_message: str, parent_header: Any) -> None:  # noqa: ANN401 - Jupyter's own
        """Jupyter's hook, which tells that output was dropped: with a spool none is."""
        if self._arrival is None or not self._recording.connected:
            super().write_stderr(error_message, parent_header)

    def _ping(self, data: bytes) -> None:
        with contextlib.suppress(WebSocketClosedError):
            self.websocket_handler.ping(data)

    @classmethod
    async def all_up_to(cls, kernel_id: str, digest: bytes) -> None:
        """Every tab of this kernel gets what the recorder has put into the spool, up to this record."""
        tabs = [each for each in cls._open_sockets if isinstance(each, KernelWebsocket) and each.kernel_id == kernel_id]
        if waiting := [future for each in tabs if (future := each.up_to(digest)) is not None]:
            await asyncio.wait(waiting, timeout=_SHOWN_S)

    # --- what was missed ----------------------------------------------------------------------------------------

    async def _catch_up(self, mark: Cursor, *, paced: bool) -> None:
        try:
            await self._missed.give_all(mark, paced=paced)
        except WebSocketClosedError:
            return
        except Exception:  # a damaged spool must not cost the live connection
            self.log.exception("what kernel %s said meanwhile cannot be shown in full", self.kernel_id)
        with contextlib.suppress(WebSocketClosedError):
            self._missed.give_held()

    def up_to(self, digest: bytes) -> asyncio.Future[None] | None:
        """Read the spool up to this record; an end of the kernel that it may be is told by Jupyter itself."""
        if self._arrival is None or self._ended:
            return None
        self._ends_told.add((self.session_id, digest))
        given = self._missed.up_to(digest)
        if not self._missed.reading:
            self._missed.fall_behind(paced=False)
            self._task = asyncio.ensure_future(self._catch_up(self._arrival.sent, paced=False))
        return given

    @property
    def gone(self) -> bool:
        """As in missed.Receiver, like all that follows."""
        return self._ended

    @property
    def replied(self) -> bytes:
        """Tag of the last request whose execute_reply was sent."""
        return self._arrival.replied if self._arrival is not None else bytes(8)

    @replied.setter
    def replied(self, tag: bytes) -> None:
        if self._arrival is not None:
            self._arrival.replied = tag

    def note(self, header: bytes) -> None:
        """The browser was sent the message with this header."""
        if self._arrival is not None:
            self._arrival.note(header)

    def give(self, channel: str, frames: Sequence[bytes]) -> None:
        """A message of the spool. The recorder has no key: what it made itself is signed here."""
        signature = frames[0] or self.session.sign(list(frames[1:5]))
        super().handle_outgoing_message(self.channels[channel], [_DELIMITER, signature, *frames[1:]])

    def give_held(self, message: list[bytes]) -> None:
        """A live message that had to wait."""
        self._pass_on(self.channels["iopub"], message, header_and_parent(message)[0])

    def ended(self, digest: bytes) -> None:
        """The kernel died while this tab was away: as to any other tab, once, so that it gives up what it waits for."""
        if (self.session_id, digest) not in self._ends_told:
            self._ends_told.add((self.session_id, digest))
            self._send_status_message("restarting")

    def tell(self, text: str, parent: dict[str, Any]) -> None:
        """A line of ours on the standard error of a cell."""
        told = self.session.msg("stream", {"name": "stderr", "text": f"\n[jupyterd: {text}]\n"}, parent=parent)
        self.give("iopub", self.session.serialize(told)[1:])

    async def flushed(self, *, paced: bool) -> None:
        """Wait until the browser takes it, where much is under way."""
        if self._unflushed <= _AT_ONCE_BYTES:
            return
        sent, self._unflushed = self._unflushed, 0
        await self._written
        if paced and self.iopub_data_rate_limit > 0:
            await asyncio.sleep(sent / self.iopub_data_rate_limit)
