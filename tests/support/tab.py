"""A browser tab as far as the kernel's websocket goes: same session id each time, executes, collects, reconnects."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import Callable
from typing import Any

from jupyter_client.session import Session
from jupyter_server.services.kernels.connection.base import (
    deserialize_binary_message,
    deserialize_msg_from_ws_v1,
    serialize_msg_to_ws_v1,
)
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

V1 = "v1.kernel.websocket.jupyter.org"
JSON = None
"""The older protocol, without a subprotocol: gateways, PyCharm, scripts."""


class Tab:
    """Everything that came, in order: (channel, message) in `got`."""

    def __init__(
        self,
        kernel: str,
        protocol: str | None = V1,
        scheme: str = "ws",
        token: str = "t",  # noqa: S107 - the tests'
        session: str = "",
    ) -> None:
        self.kernel, self.session, self.protocol = kernel, session or uuid.uuid4().hex, protocol
        self._scheme, self._token = scheme, token
        self._session = Session(session=self.session, key=b"unused")
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.connection: WebSocketClientConnection | None = None
        self._reading: asyncio.Task[None] | None = None
        self.pings: list[bytes] = []
        """What the server's pings said, on all connections."""

    async def connect(self, port: int, within_s: float = 30) -> None:
        url = f"{self._scheme}://localhost:{port}/api/kernels/{self.kernel}/channels?session_id={self.session}"
        headers = {"Authorization": f"token {self._token}"}
        until = asyncio.get_running_loop().time() + within_s
        while True:
            try:
                self.connection = await websocket_connect(
                    HTTPRequest(url, headers=headers, request_timeout=20, validate_cert=False),
                    subprotocols=[self.protocol] if self.protocol else None,
                    max_message_size=1 << 30,
                )
                break
            except (OSError, HTTPClientError):
                assert asyncio.get_running_loop().time() < until, "the tab cannot reconnect"
                await asyncio.sleep(0.05)
        self.connection.on_ping = self.pings.append
        self._reading = asyncio.ensure_future(self._read(self.connection))

    async def _read(self, connection: WebSocketClientConnection) -> None:
        while (data := await connection.read_message()) is not None:
            if self.protocol:
                channel, parts = deserialize_msg_from_ws_v1(data)
                names = ("header", "parent_header", "metadata", "content")
                message = {name: json.loads(part) for name, part in zip(names, parts, strict=False)}
                message["buffers"] = parts[4:]
            else:
                message = deserialize_binary_message(data) if isinstance(data, bytes) else json.loads(data)
                channel = message["channel"]
            self.got.append((channel, message))

    async def lost(self, within_s: float = 20) -> None:
        """Until the websocket is gone."""
        await asyncio.wait_for(asyncio.shield(self._reading), within_s)
        self.connection.close()

    async def close(self, code: int | None = None) -> None:
        self.connection.close(code)
        with contextlib.suppress(TimeoutError):
            await self.lost(5)

    async def say(self, kind: str, content: dict[str, Any], channel: str = "shell") -> str:
        message = self._session.msg(kind, content)
        if self.protocol:
            data = serialize_msg_to_ws_v1(message, channel, self._session.pack)
            await self.connection.write_message(data, binary=True)
        else:
            await self.connection.write_message(json.dumps({**message, "channel": channel}, default=str))
        return str(message["header"]["msg_id"])

    async def run(self, code: str, *, stdin: bool = False) -> str:
        """Start a cell; its id."""
        asked = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": stdin}
        return await self.say("execute_request", {**asked, "stop_on_error": True})

    def of(self, asked: str, kind: str) -> list[dict[str, Any]]:
        return [
            message
            for _, message in self.got
            if message["header"]["msg_type"] == kind and message["parent_header"].get("msg_id") == asked
        ]

    def text(self, asked: str) -> str:
        return "".join(message["content"]["text"] for message in self.of(asked, "stream"))

    def shown(self, asked: str) -> str:
        """As our page shows it: a message whose id has come already is dropped."""
        first: dict[str, str] = {}
        for message in self.of(asked, "stream"):
            first.setdefault(message["header"]["msg_id"], message["content"]["text"])
        return "".join(first.values())

    def done(self, asked: str) -> bool:
        states = [each["content"]["execution_state"] for each in self.of(asked, "status")]
        return "idle" in states and bool(self.of(asked, "execute_reply"))

    async def until(self, what: Callable[[], Any], within_s: float = 30) -> Any:
        end = asyncio.get_running_loop().time() + within_s
        while not (found := what()):
            assert asyncio.get_running_loop().time() < end, f"not within {within_s} s: {self.summary()}"
            await asyncio.sleep(0.02)
        return found

    def summary(self) -> list[str]:
        return [
            f"{channel} {message['header']['msg_type']} {str(message['content'])[:60]}" for channel, message in self.got
        ][-15:]
