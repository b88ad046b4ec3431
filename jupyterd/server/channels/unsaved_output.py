"""Which request belongs to which cell: noted when a page of ours runs a cell, asked for by a page that is opened later,
and forgotten when a page has saved the output (protocol/unsaved.py). Other clients are neither noted nor answered.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from logging import Logger
from pathlib import Path
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1
from jupyter_server.utils import url_path_join
from tornado import web

from jupyterd.protocol import cursors, spool, unsaved
from jupyterd.protocol.cursors import Cursor
from jupyterd.server.channels import spool_reader
from jupyterd.server.channels.recorder_client import RecorderClient

PARAMETER, PAGE, AGAIN = "jupyterd", "page", "again"
"""In the address of a page's websocket: it has our extension; it wants all output of requests that are not saved."""
_TRIED = 16
"""Requests that are looked for in the spool: a kernel answers them in their order."""
_MOST_IDS = 10_000


def is_page(websocket: Any) -> bool:  # noqa: ANN401 - a WebSocketHandler
    """Whether the client is a page with our extension, which speaks the protocol that the extension can read."""
    return websocket.get_argument(PARAMETER, "") in {PAGE, AGAIN} and bool(websocket.selected_subprotocol)


def note(directory: Path, session: str, message: bytes, log: Logger, *, repeated: bool = False) -> bool:
    """A page has sent `message` (as the v1 protocol writes it): if it runs a cell, note it in this spool. True: it was
    noted before, by a server that a page of which it is `repeated` does not know to have had it; it must not run twice.
    """
    with contextlib.suppress(ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        channel, parts = deserialize_msg_from_ws_v1(message)
        if channel == "stdin" and spool.message_type(bytes(parts[0])) == b"input_reply":
            _answered(directory)
        if channel != "shell" or spool.message_type(bytes(parts[0])) != b"execute_request":
            return False
        header, metadata, content = (json.loads(bytes(parts[at])) for at in (0, 2, 3))
        cell, code, msg_id = metadata["cellId"], content["code"], header["msg_id"]
        if not all(isinstance(each, str) for each in (cell, code, msg_id)) or content.get("silent"):
            return False
        try:
            if repeated and any(each.msg_id == msg_id for each in unsaved.read(directory)):
                return True
            unsaved.add(directory, unsaved.request(msg_id, session, cell, code, time.time()))
        except OSError as error:  # the cell runs all the same
            log.warning("A page that is reloaded will not show the output of this cell: %s", error)
    return False


def show_question(directory: Path, frames: Sequence[bytes]) -> None:
    """A page is sent this message (signature, header, parent header, metadata, content) on the stdin channel."""
    if spool.message_type(frames[1]) == b"input_request":
        with contextlib.suppress(OSError, UnicodeDecodeError):
            shown = unsaved.Question(frames[1].decode(), frames[2].decode(), frames[4].decode())
            unsaved.put_question(directory, shown)


def _answered(directory: Path) -> None:
    shown = unsaved.question(directory)
    if shown is not None:
        with contextlib.suppress(OSError):
            unsaved.put_question(directory, replace(shown, answered=True))


def sessions(directory: Path) -> frozenset[str]:
    """Of the tabs that have sent requests whose output is not saved."""
    return frozenset(each.session for each in unsaved.read(directory))


def begin(directory: Path) -> Cursor:
    """The cursor of a tab that needs the output of every request that is not saved. Blocking."""
    for each in unsaved.read(directory)[:_TRIED]:
        found = spool_reader.before(directory, each.msg_id)
        if found is not None:
            return found
    return spool_reader.end(directory)


class UnsavedOutput(APIHandler):
    """GET: the requests of a kernel whose output is not saved. POST {"saved": [msg_id]}: these are."""

    auth_resource = "kernels"

    @web.authenticated
    @authorized
    def get(self, kernel_id: str) -> None:
        """{"requests": [CellRequest], the oldest first, "question": the last that a page was sent, null for none}."""
        directory = self._directory(kernel_id)
        requests = [asdict(each) for each in unsaved.read(directory)]
        self.finish(json.dumps({"requests": requests, "question": _message(unsaved.question(directory))}))

    @web.authenticated
    @authorized
    def post(self, kernel_id: str) -> None:
        """400 for anything else."""
        directory = self._directory(kernel_id)
        saved = (self.get_json_body() or {}).get("saved")
        if not isinstance(saved, list) or len(saved) > _MOST_IDS or not all(isinstance(each, str) for each in saved):
            raise web.HTTPError(400, 'the body is not {"saved": [msg_id, ...]}')
        try:
            unsaved.settle(directory, frozenset(saved))
            for session in cursors.release(directory / spool.MARKS, sessions(directory)):
                self._recorder().release_identity(kernel_id, session)
        except OSError as error:
            raise web.HTTPError(507, str(error)) from error
        self.set_status(204)
        self.finish()

    def _directory(self, kernel_id: str) -> Path:
        if kernel_id not in self.kernel_manager:
            raise web.HTTPError(404, f"there is no kernel {kernel_id}")
        return self._recorder().directory / kernel_id

    def _recorder(self) -> RecorderClient:
        manager: Any = self.kernel_manager
        recorder: RecorderClient = manager.recorder
        return recorder


def _message(shown: unsaved.Question | None) -> dict[str, Any] | None:
    """As the page knows messages, and whether it is `answered`."""
    try:
        if shown is None:
            return None
        parts = {"header": shown.header, "parent_header": shown.parent, "content": shown.content}
        return {**{name: json.loads(text) for name, text in parts.items()}, "answered": shown.answered}
    except ValueError:
        return None


def handlers(base_url: str) -> list[tuple[str, type[web.RequestHandler]]]:
    """For Application.add_handlers."""
    return [(url_path_join(base_url, r"jupyterd/unsaved/([\w-]+)"), UnsavedOutput)]
