"""Makes messages that the kernel sends to one tab only, or cannot send any more: a cell's execute_reply, and its end
when the kernel has died. Pure, except for ids and dates; unsigned, because the server has the key.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import Any

from jupyterd.protocol import spool

_RESTARTED = "the kernel was restarted here"
MessageParts = list[bytes] | tuple[bytes, ...]


@dataclass(slots=True)
class Cell:
    """A request that is under way: its header frame, and when the kernel first spoke of it (as spool.date)."""

    parent: bytes
    since: bytes
    count: int | None = None
    error: dict[str, Any] | None = None
    answered: bool = False
    """Whether the kernel's own reply has been recorded."""


@dataclass(frozen=True, slots=True)
class Made:
    """Frames as they would have come from the kernel; kind and tag of their record."""

    kind: int
    whose: bytes
    frames: list[bytes]


def header(kind: str) -> bytes:
    """The header frame of a message that the recorder makes."""
    seconds, rest = divmod(time.time_ns(), 10**9)
    date = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    own = {"msg_id": os.urandom(16).hex(), "msg_type": kind, "username": "jupyterd", "session": "jupyterd"}
    return json.dumps({**own, "date": f"{date}.{rest // 1000:06d}Z", "version": "5.3"}).encode()


class Replies:
    """The cells of one kernel, as its iopub stream shows them."""

    def __init__(self) -> None:
        self._cells: dict[str, Cell] = {}
        self._failed = False
        """The last cell ended in an error: the kernel then skips all that wait behind it, whoever asked."""

    @property
    def pending(self) -> bool:
        """Whether any cell is running."""
        return bool(self._cells)

    def follow(self, frames: MessageParts) -> list[Made]:
        """Take one iopub message. Returns [the execute_reply] if it ends a cell, else []. Damaged ones are ignored."""
        try:
            match spool.message_type(frames[1]):
                case b"execute_input":
                    count = json.loads(frames[4]).get("execution_count")
                    self._cell(frames).count = count if isinstance(count, int) else None
                case b"error":
                    self._cell(frames).error = json.loads(frames[4])
                case b"status":
                    return self._status(frames)
        except (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError):
            return []
        return []

    def answered(self, request: str) -> None:
        """The kernel's own reply to this msg_id is recorded: none is to be made."""
        if request in self._cells:
            self._cells[request].answered = True

    def ended(self, request: str) -> None:
        """A made reply to this msg_id is recorded: its cell is over."""
        self._cells.pop(request, None)

    def forget(self) -> None:
        """Drop all cells: the kernel has ended, and their ends are recorded."""
        self._cells.clear()

    def remark(self, text: str) -> list[Made]:
        """A line on the standard error of every cell that is running."""
        return [_stream(each.parent, text) for each in self._cells.values()]

    def close(self, why: str, before: bytes = b"") -> list[Made]:
        """End every running cell, or those that began before the date `before`: `why` on its standard error, an idle
        status, and its reply.
        """
        made = []
        ending = {asked: cell for asked, cell in self._cells.items() if not before or cell.since < before}
        self._failed = False
        for asked, cell in ending.items():
            del self._cells[asked]
            cell.error = {"ename": "KernelEnded", "evalue": why, "traceback": []}
            made.append(_stream(cell.parent, why))
            idle = [b"", header("status"), cell.parent, b"{}", b'{"execution_state": "idle"}']
            made.append(Made(spool.NOTE, spool.NOBODY, idle))
            if not cell.answered:
                made.append(_reply(header("execute_reply"), cell.parent, self._content(cell)))
        return made

    def _cell(self, frames: MessageParts) -> Cell:
        return self._cells.setdefault(json.loads(frames[2])["msg_id"], Cell(frames[2], spool.date(frames[1])))

    def _status(self, frames: MessageParts) -> list[Made]:
        state, parent = json.loads(frames[4])["execution_state"], json.loads(frames[2])
        if state == "starting":  # another process: nothing of before will ever end
            return self.close(_RESTARTED)
        if parent.get("msg_type") != "execute_request":
            return []
        if state == "busy":
            self._cell(frames)
            return []
        if state != "idle":
            return []
        cell = self._cells.pop(parent["msg_id"], Cell(frames[2], b""))
        content = self._content(cell)
        self._failed = content["status"] != "ok"
        if cell.answered:
            return []
        made = {**json.loads(frames[1]), "msg_id": os.urandom(16).hex(), "msg_type": "execute_reply"}
        return [_reply(json.dumps(made).encode(), cell.parent, content)]

    def _content(self, cell: Cell) -> dict[str, Any]:
        count = {} if cell.count is None else {"execution_count": cell.count}
        if cell.error is not None:
            return {**cell.error, "status": "error", **count}
        if cell.count is None and self._failed:
            return {"status": "aborted"}
        return {"status": "ok", **count, "user_expressions": {}, "payload": []}


def _stream(parent: bytes, text: str) -> Made:
    content = json.dumps({"name": "stderr", "text": f"\n[jupyterd: {text}]\n"}).encode()
    return Made(spool.NOTE, spool.NOBODY, [b"", header("stream"), parent, b"{}", content])


def _reply(head: bytes, parent: bytes, content: dict[str, Any]) -> Made:
    metadata = {"status": content["status"], "jupyterd": "made by the recorder"}
    whose = spool.tag(str(json.loads(parent).get("session", "")))
    return Made(spool.REPLY, whose, [b"", head, parent, *(json.dumps(each).encode() for each in (metadata, content))])
