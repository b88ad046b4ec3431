"""What one tab has missed: read from the spool and given to it once and in order, while live messages wait here.

Knows messages as frames, and the tab as what it can be told.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from jupyterd.protocol import spool
from jupyterd.protocol.cursors import Cursor
from jupyterd.protocol.spool import Spooled
from jupyterd.server.channels import spool_reader

_QUIET_S = 2.0
"""A kernel that says nothing for so long has our subscription by now: the spool need not be read any more."""
_QUIET_ENDED_S = 30.0
"""Nor one that is being started again after so long."""
_MUTE_S = 1.0
"""Live messages that the recorder does not have after so long it never had."""
_LOOK_S, _LOOK_MOST_S = 0.01, 0.2
_HELD_MOST_BYTES = 1 << 23
_DELIMITER = b"<IDS|MSG>"


class Receiver(Protocol):
    """The tab."""

    replied: bytes
    """Tag of the last request whose execute_reply was given."""

    @property
    def gone(self) -> bool:
        """Whether its websocket is closed."""

    def give(self, channel: str, frames: Sequence[bytes]) -> None:
        """One message of the spool, signature first; an empty one is made good."""

    def give_held(self, message: list[bytes]) -> None:
        """A live one that had to wait."""

    def note(self, header: bytes) -> None:
        """Given."""

    def ended(self, digest: bytes) -> None:
        """Here its kernel's process has ended; `digest` is this end's name."""

    def tell(self, text: str, parent: dict[str, Any]) -> None:
        """A line on the standard error of a cell."""

    async def flushed(self, *, paced: bool) -> None:
        """Before it gets too much at once."""


class Missed:
    """`reading` from the first moment until live messages are all that follows."""

    def __init__(self, tab: Receiver, session: str, directory: Path) -> None:
        self._tab, self._directory, self._mine = tab, directory, spool.tag(session)
        self.reading = True
        self._holding = True
        self._held: dict[bytes, list[bytes]] = {}
        self._held_bytes = 0
        self._known: set[bytes] = set()
        """What was read and may come live as well."""
        self._answered: set[str] = set()
        """Requests whose execute_reply was read."""
        self._question: Spooled | None = None
        self._until: tuple[bytes, asyncio.Future[None]] | None = None

    # --- live messages, as the tab gets them --------------------------------------------------------------------

    def fall_behind(self, *, paced: bool) -> None:
        """From here on everything is to be read."""
        self.reading, self._holding, self._held_bytes = True, not paced, 0
        self._known.clear()
        self._held.clear()

    def hold(self, message: list[bytes]) -> None:
        """Until the spool is read; what is too much to be held will be read from there as well."""
        if not self._holding:
            return
        self._held[spool.digest(header_and_parent(message)[0])] = message
        self._held_bytes += sum(map(len, message))
        if self._held_bytes > _HELD_MOST_BYTES:
            self._held.clear()
            self._held_bytes = 0

    def had(self, header: bytes) -> bool:
        """Whether this live message was read from the spool. Both have one order: what follows a new one is new."""
        if self._known and spool.digest(header) in self._known:
            return True
        self._known.clear()
        return False

    def answered(self, asked: str) -> bool:
        """Whether the reply to this request was read from the spool."""
        return asked in self._answered

    def up_to(self, digest: bytes) -> asyncio.Future[None]:
        """Done when this record, which comes from the spool alone, is given, or nothing more is read."""
        self._until = (digest, asyncio.get_running_loop().create_future())
        return self._until[1]

    # --- the spool ----------------------------------------------------------------------------------------------

    async def give_all(self, mark: Cursor, *, paced: bool) -> None:
        """All behind the mark, then what was held. `paced`: no faster than a browser should get it. Raises whatever
        the tab raises when it is closed meanwhile.
        """
        reader = spool_reader.SpoolReader(self._directory, mark)
        try:
            await asyncio.to_thread(reader.begin)
            await self._read(reader, paced=paced)
            if self._question is not None:  # nobody has answered it: it belongs behind all that came before it
                self._tab.give("stdin", self._question.frames)
        finally:
            reader.close()

    def give_held(self) -> None:
        """Live again."""
        self.reading = False
        self._reached()
        for known, message in list(self._held.items()):
            if known not in self._known and not self._tab.gone and not self.reading:
                self._tab.give_held(message)
        self._held.clear()

    async def _read(self, reader: spool_reader.SpoolReader, *, paced: bool) -> None:
        """Until a live message is one that the spool has too: from there on the live ones are all that follows. Not
        before the record that was asked for.
        """
        pause, following, quiet_since, quiet_s = _LOOK_S, None, time.monotonic(), _QUIET_S
        while not self._tab.gone:
            batch = await asyncio.to_thread(reader.read)
            for each in batch:
                if each.digest in self._held and self._until is None:
                    return
                if following is not None and each.number > following[0]:
                    self._tell_gap(each, each.number - following[0], each.before - following[1])
                following = (each.number + 1, each.before + each.size)
                self._give(each)
                await self._tab.flushed(paced=paced)
                if self._until is not None and each.digest == self._until[0]:
                    self._reached()
                quiet_s = _QUIET_ENDED_S if each.kind == spool.END else _QUIET_S
            if self._until is None and not self._known.isdisjoint(self._held):
                return
            if batch:
                pause, quiet_since = _LOOK_S, time.monotonic()
            elif time.monotonic() - quiet_since > (_MUTE_S if self._held else quiet_s):
                return
            else:
                self._holding = True
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LOOK_MOST_S)

    def _reached(self) -> None:
        if self._until is not None:
            if not self._until[1].done():
                self._until[1].set_result(None)
            self._until = None

    def _give(self, each: Spooled) -> None:
        match each.kind:
            case spool.NOTE:
                self._tab.give("iopub", each.frames)
            case spool.END:
                self._question = None
                self._tab.ended(each.digest)
            case spool.IOPUB:
                self._known.add(each.digest)
                self._tab.give("iopub", each.frames)
                if self._question is not None and _ends(each, self._question):
                    self._question = None
            case spool.REPLY | spool.SHELL if each.tag == self._mine:
                if not self._is_news(each):
                    return
                self._tab.give("shell", each.frames)
            case spool.STDIN if each.tag == self._mine:
                self._question = each
                return
            case _:
                return
        self._tab.note(each.frames[1])

    def _is_news(self, reply: Spooled) -> bool:
        asked = id_of(reply.frames[2])
        if asked in self._answered or spool.tag(asked) == self._tab.replied:
            return False
        if spool.message_type(reply.frames[1]) == b"execute_reply":
            self._answered.add(asked)
            self._tab.replied = spool.tag(asked)
        return True

    def _tell_gap(self, following: Spooled, count: int, size: int) -> None:
        self._tab.tell(
            f"{count} messages of output ({size / 1e6:.1f} MB) are missing here: while this page was not connected "
            "there was more output than kernels.spool_max_bytes keeps",
            json.loads(following.frames[2]),
        )


def header_and_parent(message: list[bytes]) -> tuple[bytes, bytes]:
    """Of a message as it comes from a kernel's socket."""
    at = message.index(_DELIMITER)
    return message[at + 2], message[at + 3]


def id_of(parent: bytes) -> str:
    """The msg_id in a header frame; "" where there is none."""
    try:
        return str(json.loads(parent).get("msg_id", ""))
    except (ValueError, AttributeError):
        return ""


def _ends(status: Spooled, question: Spooled) -> bool:
    return (
        spool.message_type(status.frames[1]) == b"status"
        and b'"idle"' in status.frames[4]
        and id_of(status.frames[2]) == id_of(question.frames[2])
    )
