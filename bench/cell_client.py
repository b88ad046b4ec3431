"""Runs in the measured environment, for bench/cell: PORT TOKEN ROUNDS LINES. Prints seconds, as JSON: of the round
trips of `1`, and of cells that print so many lines.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import uuid

from jupyter_client.session import Session
from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1, serialize_msg_to_ws_v1
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

CELL_S = 120.0
TRIPS = 50
"""Of `1`, for each cell with lines."""


async def run(socket: WebSocketClientConnection, session: Session, code: str) -> float:
    """Seconds until the reply and the idle status of a cell are there."""
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    asked = session.msg("execute_request", content)
    begun = time.monotonic()
    await socket.write_message(serialize_msg_to_ws_v1(asked, "shell", session.pack), binary=True)
    missing = {"execute_reply", "idle"}
    async with asyncio.timeout(CELL_S):
        while missing:
            data = await socket.read_message()
            if data is None:
                raise ConnectionError("the server closed the connection")
            _, (header, parent, _, body, *_) = deserialize_msg_from_ws_v1(data)
            if json.loads(parent).get("msg_id") == asked["header"]["msg_id"]:
                missing -= {json.loads(header)["msg_type"], json.loads(body).get("execution_state")}
    return time.monotonic() - begun


async def main() -> None:
    """Start a kernel, measure, end it."""
    port, token, rounds, lines = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    more = {"headers": {"Authorization": f"token {token}"}, "request_timeout": CELL_S}
    base = f"http://localhost:{port}/api/kernels"
    web = AsyncHTTPClient()
    answer = await web.fetch(HTTPRequest(base, method="POST", body='{"name": "python3"}', **more))
    kernel = json.loads(answer.body)["id"]
    session = Session(session=uuid.uuid4().hex, key=b"unused")
    url = f"{base.replace('http', 'ws', 1)}/{kernel}/channels?session_id={session.session}"
    socket = await websocket_connect(
        HTTPRequest(url, **more), subprotocols=["v1.kernel.websocket.jupyter.org"], max_message_size=1 << 30
    )
    await run(socket, session, "1")
    trips: list[float] = []
    prints: list[float] = []
    for _ in range(rounds):
        trips += [await run(socket, session, "1") for _ in range(TRIPS)]
        prints.append(await run(socket, session, f"for n in range({lines}): print(n, 'a line of a usual length')"))
    socket.close()
    await web.fetch(HTTPRequest(f"{base}/{kernel}", method="DELETE", **more))
    json.dump({"trips": trips, "prints": prints}, sys.stdout)


asyncio.run(main())
