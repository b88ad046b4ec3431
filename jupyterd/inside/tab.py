"""One tab's connection to a kernel: Jupyter's own, which first gets from the spool what it missed, once and in order.

What its browser has acknowledged (by a websocket pong, which every browser sends by itself) is its mark, and outlives
this server. Neighbours: replay.py reads the spool, recording.py has the tab's place handed over.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado.websocket import WebSocketClosedError

from jupyterd.inside import replay
from jupyterd.inside.recording import Recording
from jupyterd.wire import spool
from jupyterd.wire.marks import Mark, Marks
from jupyterd.wire.spool import Spooled

_DELIMITER = b"<IDS|MSG>"
_PING_EVERY_S = 0.005
"""At most so often; while nothing comes, never."""
_PING = b"jupyterd"
_QUIET_S = 2.0
"""A kernel that says nothing for so long has our subscription by now: the spool need not be read any more."""
_MUTE_S = 1.0
"""Live messages that the recorder does not have after so long it never had."""
_LOOK_S, _LOOK_MOST_S = 0.01, 0.2
_AT_ONCE_BYTES = 1 << 18
_HELD_MOST_BYTES = 1 << 23
_LAST_WORDS_S = 0.3
_GONE = 1001
"""Close code of a page that was closed or left (RFC 6455): it does not come back."""


class Tab(ZMQChannelsWebsocketConnection):
    """Jupyter's hook: ServerApp.kernel_websocket_connection_class."""

    _marks: Marks | None = None
    _slot = 0
    _mark = Mark()
    _sent: bytes = b""
    """Header of the last message that was sent to the browser."""
    _replied = bytes(8)
    _pinged: tuple[bytes, bytes] | None = None
    """Header and reply tag that the ping under way stands for."""
    _missing: bool = False
    """The spool is being read; live messages wait in `_held`."""
    _ended = False

    # --- coming and going -------------------------------------------------------------------------------------

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
        self._held: dict[bytes, list[bytes]] = {}
        self._known: set[bytes] = set()
        self._answered: set[str] = set()
        self._written: Any = None
        self._unflushed = self._held_bytes = 0
        self._holding = True
        self._question: Spooled | None = None
        directory = self._recording.directory / self.kernel_id
        with contextlib.suppress(OSError, ValueError):  # no table, no replay: the tab works as in any Jupyter
            table = Marks(directory / spool.MARKS)
            try:
                connected = self._recording.tabs(self.kernel_id)
                self._slot, found = table.claim(self.session_id, time.time(), connected)
                self._mark = replay.end(directory) if found is None else found
                table.put(self._slot, self._mark)
            except ValueError:
                table.close()
                raise
            self._marks, self._missing = table, True
            self._replied = self._mark.replied
            handler: Any = self.websocket_handler
            handler.on_pong = self._on_pong
        connecting = super().connect()
        if connecting is not None and self._missing:
            connecting.add_done_callback(self._begin)
        return connecting

    def _begin(self, _: object) -> None:
        self._task = asyncio.ensure_future(self._catch_up(self._mark, paced=False))

    def disconnect(self) -> None:  # type: ignore[override]  # as in the class above
        """Jupyter's hook; may come twice."""
        super().disconnect()
        if self._ended:
            return
        self._ended = True
        if self._marks is not None:
            gone = getattr(self.websocket_handler, "close_code", None) == _GONE
            self._marks.leave(self._slot, time.time(), held=not gone)
            self._marks.close()
            self._marks = None
        if self._open_sessions.get(self.session_key) is None:  # else the same tab is here again already
            self._recording.away(self.kernel_id, self.session_id)

    @classmethod
    async def close_all(cls) -> None:
        """Jupyter's hook: the server leaves. What the browsers have got by now is acknowledged within moments."""
        tabs = [each for each in cls._open_sockets if isinstance(each, Tab)]
        for each in tabs:
            each._missing = True  # noqa: SLF001 - nothing new is sent from here on
        until = time.monotonic() + _LAST_WORDS_S
        while any(each._pinged for each in tabs) and time.monotonic() < until:  # noqa: ASYNC110, SLF001 - a moment
            await asyncio.sleep(_LOOK_S)
        await super().close_all()

    # --- live -------------------------------------------------------------------------------------------------

    def handle_outgoing_message(self, stream: Any, outgoing_msg: list[bytes]) -> None:  # noqa: ANN401 - Jupyter's own
        """Jupyter's hook: from the kernel to the browser."""
        if self._marks is None:
            super().handle_outgoing_message(stream, outgoing_msg)
            return
        if getattr(stream, "channel", stream) == "iopub":
            if self._missing:
                self._hold(outgoing_msg)
            else:
                self._live(stream, outgoing_msg)
            return
        header, parent = _header_and_parent(outgoing_msg)
        if spool.message_type(header) == b"execute_reply":
            asked = _id(parent)
            if asked in self._answered:
                return
            self._replied = spool.tag(asked)
        super().handle_outgoing_message(stream, outgoing_msg)

    def _live(self, stream: Any, message: list[bytes]) -> None:  # noqa: ANN401 - Jupyter's own
        header, _ = _header_and_parent(message)
        if self._known:
            if spool.digest(header) in self._known:
                return
            self._known.clear()  # both streams have the same order: whatever follows is new as well
        self._pass_on(stream, message, header)

    def _pass_on(self, stream: Any, message: list[bytes], header: bytes) -> None:  # noqa: ANN401 - Jupyter's own
        super().handle_outgoing_message(stream, message)
        if not self._missing:
            self._note(header)

    def _hold(self, message: list[bytes]) -> None:
        """Until the spool is read; what is too much to be held will be read from there as well."""
        if not self._holding:
            return
        self._held[spool.digest(_header_and_parent(message)[0])] = message
        self._held_bytes += sum(map(len, message))
        if self._held_bytes > _HELD_MOST_BYTES:
            self._held.clear()
            self._held_bytes = 0

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
        if self._missing:
            return False
        over = bool(super()._limit_rate(channel, msg, msg_list))
        if over and self._spooled():
            self._iopub_msgs_exceeded = self._iopub_data_exceeded = False
            here = Mark(spool.digest(self._sent), spool.date(self._sent)) if self._sent else self._mark
            self._held.clear()
            self._missing = True
            self._task = asyncio.ensure_future(self._catch_up(here, paced=True))
        return over

    def _spooled(self) -> bool:
        return self._marks is not None and self._recording.connected

    def write_stderr(self, error_message: str, parent_header: Any) -> None:  # noqa: ANN401 - Jupyter's own
        """Jupyter's hook, which tells that output was dropped: with a spool none is."""
        if not self._spooled():
            super().write_stderr(error_message, parent_header)

    # --- the mark ---------------------------------------------------------------------------------------------

    def _note(self, header: bytes) -> None:
        self._sent = header
        if self._pinged is None:
            self._ping()

    def _ping(self) -> None:
        if self._ended or self._pinged is not None:
            return
        self._pinged = (self._sent, self._replied)
        with contextlib.suppress(WebSocketClosedError):
            self.websocket_handler.ping(_PING)

    def _on_pong(self, data: bytes) -> None:
        """Tornado's hook: everything before that ping is in the browser."""
        if data != _PING or self._pinged is None or self._marks is None:
            return
        header, replied = self._pinged
        self._pinged = None
        self._marks.put(self._slot, Mark(spool.digest(header), spool.date(header), replied))
        if (self._sent, self._replied) != (header, replied):
            asyncio.get_running_loop().call_later(_PING_EVERY_S, self._ping)

    # --- what was missed --------------------------------------------------------------------------------------

    async def _catch_up(self, mark: Mark, *, paced: bool) -> None:
        """`paced`: at Jupyter's own limits for a browser (iopub_data_rate_limit)."""
        reader = replay.Reader(self._recording.directory / self.kernel_id, mark)
        self._holding, self._held_bytes = not paced, 0
        self._known.clear()
        try:
            await asyncio.to_thread(reader.begin)
            await self._read(reader, paced=paced)
            self._ask()
        except WebSocketClosedError:
            return
        except Exception:  # a damaged spool must not cost the live connection
            self.log.exception("what kernel %s said meanwhile cannot be shown in full", self.kernel_id)
        finally:
            reader.close()
        self._missing = False
        with contextlib.suppress(WebSocketClosedError):
            for known, message in list(self._held.items()):
                if known not in self._known and not self._ended and not self._missing:
                    self._pass_on(self.channels["iopub"], message, _header_and_parent(message)[0])
        self._held.clear()

    async def _read(self, reader: replay.Reader, *, paced: bool) -> None:
        """Until a live message is one that the spool has too: from there on the live ones are all that follows."""
        pause, following, quiet_since = _LOOK_S, None, time.monotonic()
        while not self._ended:
            batch = await asyncio.to_thread(reader.read)
            for each in batch:
                if each.digest in self._held:
                    return
                if following is not None and each.number > following[0]:
                    self._tell_gap(each, each.number - following[0], each.before - following[1])
                following = (each.number + 1, each.before + each.size)
                self._deliver(each)
                if self._unflushed > _AT_ONCE_BYTES:
                    await self._flush(paced=paced)
            if not self._known.isdisjoint(self._held):
                return
            waited = time.monotonic() - quiet_since
            if batch:
                pause, quiet_since = _LOOK_S, time.monotonic()
            elif waited > (_MUTE_S if self._held else _QUIET_S):
                return
            else:
                self._holding = True
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LOOK_MOST_S)

    def _deliver(self, each: Spooled) -> None:
        mine = each.tag == spool.tag(self.session_id)
        header, parent = each.frames[1], each.frames[2]
        match each.kind:
            case spool.IOPUB:
                self._known.add(each.digest)
                self._send("iopub", each.frames)
                if (
                    self._question is not None
                    and spool.message_type(header) == b"status"
                    and _ends(each, self._question)
                ):
                    self._question = None
            case spool.REPLY | spool.SHELL if mine:
                asked = _id(parent)
                if asked in self._answered or spool.tag(asked) == self._replied:
                    return
                if spool.message_type(header) == b"execute_reply":
                    self._answered.add(asked)
                    self._replied = spool.tag(asked)
                signed = self.session.sign(list(each.frames[1:5]))  # the recorder has no key
                self._send("shell", [signed, *each.frames[1:]])
            case spool.STDIN if mine:
                self._question = each
                return
            case _:
                return
        self._note(header)

    def _ask(self) -> None:
        """The last question of input() that nobody has answered: it belongs behind all that came before it."""
        if self._question is not None:
            self._send("stdin", self._question.frames)

    def _send(self, channel: str, frames: tuple[bytes, ...] | list[bytes]) -> None:
        stream: Any = self.channels[channel]
        super().handle_outgoing_message(stream, [_DELIMITER, *frames])

    def _tell_gap(self, following: Spooled, count: int, size: int) -> None:
        parent = json.loads(following.frames[2])
        text = (
            f"\n[jupyterd: {count} messages of output ({size / 1e6:.1f} MB) are missing here: while this page was not "
            "connected there was more output than kernels.spool_max_bytes keeps]\n"
        )
        told = self.session.msg("stream", {"name": "stderr", "text": text}, parent=parent)
        self._send("iopub", self.session.serialize(told)[1:])

    async def _flush(self, *, paced: bool) -> None:
        sent, self._unflushed = self._unflushed, 0
        await self._written
        if paced and self.iopub_data_rate_limit > 0:
            await asyncio.sleep(sent / self.iopub_data_rate_limit)


def _header_and_parent(message: list[bytes]) -> tuple[bytes, bytes]:
    at = message.index(_DELIMITER)
    return message[at + 2], message[at + 3]


def _id(parent: bytes) -> str:
    try:
        return str(json.loads(parent).get("msg_id", ""))
    except (ValueError, AttributeError):
        return ""


def _ends(status: Spooled, question: Spooled) -> bool:
    return b'"idle"' in status.frames[4] and _id(status.frames[2]) == _id(question.frames[2])
