"""The HTTP server on the inherited sockets: who may speak to it at all, and when it has nothing more to say.

Knows no Jupyter. Host names are checked here and not by Jupyter, which does not check any on a public address, and
not in the handlers of extensions. Neighbour: tls.py makes the context.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPHeaders,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.ioloop import IOLoop
from tornado.iostream import IOStream, StreamClosedError, UnsatisfiableReadError

HELLO_TIMEOUT_S = 30.0
"""For the first byte of a TLS connection: a silent one costs a descriptor."""
SENT_ALREADY_S = 0.05
"""On leaving: a request that is on its way over an open connection."""
NEWCOMERS_S = 0.5
"""On leaving: for the handshake and the first request of connections that were accepted."""
DRAIN_STEP_S = 0.01
PLAIN_TIMEOUT_S = 5.0
PLAIN_MAX_BYTES = 16384

_TLS_HANDSHAKE = b"\x16"
_HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")


class Front(HTTPServer):
    """An HTTPServer that answers plain HTTP on a TLS port with the way to https, and knows its open requests."""

    names: frozenset[str] = frozenset()
    """The host names by which browsers may call it, "*.example.org" too; addresses need no permission."""

    def initialize(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - tornado's own
        """Tornado's constructor (tornado.util.Configurable)."""
        super().initialize(*args, **options)
        self.open_requests: set[object] = set()
        self.newcomers: set[object] = set()
        """Peers whose connection was accepted and whose first request has not been read yet."""

    def may_call(self, host: str) -> bool:
        """Is this Host header ours? A page of another name that points here (DNS rebinding) may not call."""
        name = host_name(host)
        if name in self.names or f"*.{name.partition('.')[2]}" in self.names or name.endswith(".localhost"):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True  # the name in a rebinding attack is a name

    async def drain(self, timeout_s: float) -> None:
        """After `stop`: until every request under way is answered, and those that were sent already are too."""
        self.conn_params.no_keep_alive = True  # an answer from now on says "Connection: close"
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (waited := loop.time() - began) < timeout_s:
            expected = waited < SENT_ALREADY_S or (self.newcomers and waited < NEWCOMERS_S)
            if not self.open_requests and not expected:
                return
            await asyncio.sleep(DRAIN_STEP_S)

    def request_ended(self, connection: object) -> None:
        """The response is out, or nobody is there to take it."""
        self.open_requests.discard(connection)

    def on_close(self, server_conn: Any) -> None:  # noqa: ANN401 - an HTTP1ServerConnection
        """Tornado's hook."""
        super().on_close(server_conn)
        self.newcomers.discard(server_conn.context.address)

    def start_request(self, server_conn: object, request_conn: Any) -> HTTPMessageDelegate:  # noqa: ANN401 - tornado's
        """Tornado's hook for each request."""
        return _Gate(self, super().start_request(server_conn, request_conn), request_conn)

    def handle_stream(self, stream: IOStream, address: Any) -> None:  # noqa: ANN401 - tornado's
        """Tornado's hook for each connection that may speak HTTP."""
        self.newcomers.add(address)
        super().handle_stream(stream, address)

    def _handle_connection(self, connection: socket.socket, address: object) -> None:
        if self.ssl_options is None:
            super()._handle_connection(connection, address)
            return
        self.newcomers.add(address)
        loop = IOLoop.current()

        def close() -> None:
            loop.remove_handler(connection)
            self.newcomers.discard(address)
            connection.close()

        def hear(_fd: object, _events: int) -> None:
            loop.remove_handler(connection)
            self.newcomers.discard(address)
            loop.remove_timeout(deadline)
            try:
                first = connection.recv(1, socket.MSG_PEEK)
            except OSError:
                first = b""
            if first == _TLS_HANDSHAKE:
                super(Front, self)._handle_connection(connection, address)
            elif first:
                loop.add_callback(_point_to_https, connection)
            else:
                connection.close()

        deadline = loop.call_later(HELLO_TIMEOUT_S, close)
        loop.add_handler(connection, hear, IOLoop.READ)


def host_name(host: str) -> str:
    """The name or address in a Host header, without port and brackets, lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0].rstrip(".") if ":" in host else host.rstrip(".")


class _Gate(HTTPMessageDelegate):
    """Between connection and application: turns foreign names away, keeps Front.open_requests."""

    def __init__(self, front: Front, inner: HTTPMessageDelegate, connection: Any) -> None:  # noqa: ANN401 - an HTTP1Connection
        self.front = front
        self.inner: HTTPMessageDelegate | None = inner
        self.connection = connection

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> Any:  # noqa: ANN401
        self.front.newcomers.discard(self.connection.context.address)
        host = headers.get("Host", "")
        if not self.front.may_call(host):
            self._refuse(host)
            return None
        if headers.get("Upgrade", "").lower() != "websocket":  # those stay for days
            self.front.open_requests.add(self.connection)
        return None if self.inner is None else self.inner.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Any:  # noqa: ANN401
        return None if self.inner is None else self.inner.data_received(chunk)

    def finish(self) -> None:
        if self.inner is not None:
            self.inner.finish()

    def on_connection_close(self) -> None:
        self.front.request_ended(self.connection)
        if self.inner is not None:
            self.inner.on_connection_close()

    def _refuse(self, host: str) -> None:
        self.inner = None
        name = host_name(host) if _HOST.fullmatch(host) else "?"
        body = (
            f'403: this server does not know itself as "{name}". If that is a name of it, add it in jupyterd.toml,\n'
            f'[server] names = ["{name}"], then type: sudo systemctl reload jupyterd (or start ./run again)\n'
        ).encode()
        headers = HTTPHeaders({
            "Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body)),
            "X-Content-Type-Options": "nosniff", "Connection": "close",
        })  # fmt: skip
        self.connection.write_headers(ResponseStartLine("HTTP/1.1", 403, "Forbidden"), headers, body)
        self.connection.finish()


async def _point_to_https(connection: socket.socket) -> None:
    """Plain HTTP came to the TLS port: say where to go, then hang up."""
    stream = IOStream(connection)
    try:
        async with asyncio.timeout(PLAIN_TIMEOUT_S):
            head = await stream.read_until(b"\r\n\r\n", max_bytes=PLAIN_MAX_BYTES)
            await stream.write(_plain_answer(head))
    except (StreamClosedError, UnsatisfiableReadError, TimeoutError):
        pass  # whatever it was, it is no browser
    finally:
        stream.close()


def _plain_answer(head: bytes) -> bytes:
    request, *lines = head.decode("latin-1").split("\r\n")
    method, _, rest = request.partition(" ")
    target = rest.partition(" ")[0]
    host = next((line[5:].strip() for line in lines if line.lower().startswith("host:")), "")
    if method not in ("GET", "HEAD") or not target.startswith("/") or not _HOST.fullmatch(host):
        text = "This port speaks HTTPS only.\n"
        lines = ["HTTP/1.1 400 Bad Request", f"Content-Length: {len(text)}", "Connection: close", "", text]
        return "\r\n".join(lines).encode()
    lines = [
        "HTTP/1.1 307 Temporary Redirect", f"Location: https://{host}{target}", "Content-Length: 0",
        "Cache-Control: no-store", "Connection: close", "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode("latin-1")
