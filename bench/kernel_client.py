"""Runs in the measured environment, for bench/kernels: SCHEME PORT TOKEN COUNT [keep]. Prints seconds, as JSON."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
import uuid

from jupyter_client.session import Session
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import websocket_connect

CELL = {"code": "6 * 7", "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
REQUEST_S = 60.0


async def started(scheme: str, port: int, headers: dict[str, str], *, keep: bool) -> float:
    """One kernel's start, until its first cell is answered."""
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    more = {"headers": headers, "request_timeout": REQUEST_S, "ssl_options": unverified}
    base = f"{scheme}://localhost:{port}/api/kernels"
    web = AsyncHTTPClient()
    begun = time.monotonic()
    answer = await web.fetch(HTTPRequest(base, method="POST", body='{"name": "python3"}', **more))
    kernel = json.loads(answer.body)["id"]
    session = uuid.uuid4().hex
    url = f"{base.replace('http', 'ws', 1)}/{kernel}/channels?session_id={session}"
    socket = await websocket_connect(HTTPRequest(url, **more))
    asked = Session(session=session, key=b"unused").msg("execute_request", CELL)
    await socket.write_message(json.dumps({**asked, "channel": "shell"}, default=str))
    async with asyncio.timeout(REQUEST_S):
        while json.loads(await socket.read_message())["header"]["msg_type"] != "execute_reply":
            pass
    seconds = time.monotonic() - begun
    socket.close()
    if not keep:
        await web.fetch(HTTPRequest(f"{base}/{kernel}", method="DELETE", **more))
    return seconds


async def main() -> None:
    """Start so many kernels, one after the other, and print the seconds."""
    scheme, port, token, count, *keep = sys.argv[1:]
    headers = {"Authorization": f"token {token}"}
    found = [await started(scheme, int(port), headers, keep=bool(keep and keep[0])) for _ in range(int(count))]
    json.dump(found, sys.stdout)


asyncio.run(main())
