"""Makes the execute_reply of a cell from what its kernel says on iopub: the real one goes to one tab and no further.

Pure, but for the message id. Unsigned: the server has the key. Neighbour: kernel.py puts the replies into the spool.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from jupyterd.wire import spool


@dataclass(slots=True)
class Cell:
    """A request that is under way."""

    count: int | None = None
    error: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """Frames as they would have come from the kernel, and the session that asked."""

    session: str
    frames: list[bytes]


class Replies:
    """Follows one kernel's iopub stream."""

    def __init__(self) -> None:
        self._cells: dict[str, Cell] = {}
        self._failed = False
        """The last cell ended in an error: the kernel then skips all that wait behind it, whoever asked."""

    def follow(self, frames: list[bytes] | tuple[bytes, ...]) -> Reply | None:
        """A reply, when these frames are the idle status of an execute_request. Damaged messages count for nothing."""
        try:
            match spool.message_type(frames[1]):
                case b"execute_input":
                    count = json.loads(frames[4]).get("execution_count")
                    self._cell(frames).count = count if isinstance(count, int) else None
                case b"error":
                    self._cell(frames).error = json.loads(frames[4])
                case b"status":
                    return self._status(frames)
        except (ValueError, TypeError, AttributeError, KeyError, IndexError):
            return None
        return None

    def _cell(self, frames: list[bytes] | tuple[bytes, ...]) -> Cell:
        return self._cells.setdefault(json.loads(frames[2])["msg_id"], Cell())

    def _status(self, frames: list[bytes] | tuple[bytes, ...]) -> Reply | None:
        state, parent = json.loads(frames[4])["execution_state"], json.loads(frames[2])
        if state == "starting":  # another process: nothing of before will ever end
            self._cells.clear()
        if parent.get("msg_type") != "execute_request":
            return None
        if state == "busy":
            self._cell(frames)
            return None
        if state != "idle":
            return None
        cell, session = self._cells.pop(parent["msg_id"], Cell()), str(parent.get("session", ""))
        content = self._content(cell)
        self._failed = content["status"] != "ok"
        header = {**json.loads(frames[1]), "msg_id": os.urandom(16).hex(), "msg_type": "execute_reply"}
        parts = [
            json.dumps(header).encode(), frames[2],
            json.dumps({"status": content["status"], "jupyterd": "made from the idle status"}).encode(),
            json.dumps(content).encode(),
        ]  # fmt: skip
        return Reply(session, [b"", *parts])

    def _content(self, cell: Cell) -> dict[str, Any]:
        count = {} if cell.count is None else {"execution_count": cell.count}
        if cell.error is not None:
            return {**cell.error, "status": "error", **count}
        if cell.count is None and self._failed:
            return {"status": "aborted"}
        return {"status": "ok", **count, "user_expressions": {}, "payload": []}
