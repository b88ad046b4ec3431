"""Which request belongs to which cell: noted when a page of ours runs a cell, asked for by a page that is opened later,
and forgotten when a page has saved the output (protocol/unsaved.py). Other clients are neither noted nor answered.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import asdict
from logging import Logger
from pathlib import Path
from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1
from jupyter_server.utils import url_path_join
from tornado import web

from jupyterd.protocol import spool, unsaved
from jupyterd.protocol.cursors import Cursor
from jupyterd.server.channels import spool_reader

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
        """{"requests": [CellRequest]}, the oldest first."""
        found = unsaved.read(self._directory(kernel_id))
        self.finish(json.dumps({"requests": [asdict(each) for each in found]}))

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
        except OSError as error:
            raise web.HTTPError(507, str(error)) from error
        self.set_status(204)
        self.finish()

    def _directory(self, kernel_id: str) -> Path:
        if kernel_id not in self.kernel_manager:
            raise web.HTTPError(404, f"there is no kernel {kernel_id}")
        manager: Any = self.kernel_manager
        directory: Path = manager.recorder.directory
        return directory / kernel_id


def handlers(base_url: str) -> list[tuple[str, type[web.RequestHandler]]]:
    """For Application.add_handlers."""
    return [(url_path_join(base_url, r"jupyterd/unsaved/([\w-]+)"), UnsavedOutput)]
