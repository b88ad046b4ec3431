"""The HTTP server on the inherited sockets: checks host names, tracks connections, and drains at the end.

Knows no Jupyter. Host names are checked here and not by Jupyter, which does not check any on a public address, and
not in the handlers of extensions.
"""

from __future__ import annotations

import asyncio
import contextvars
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from itertools import islice
from typing import Any, Literal
from urllib.parse import unquote

import attrs
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, HTTPServerRequest
from tornado.iostream import IOStream, SSLIOStream, StreamClosedError, UnsatisfiableReadError

from jupyterd.linux import net
from jupyterd.server.http.accept import Handshakes, accept_from
from jupyterd.server.http.caller import CALLER, Caller
from jupyterd.server.http.connections import Connections
from jupyterd.server.http.gate import HOST, Gate, Refusal, host_name
from jupyterd.server.http.timeouts import Connection, Limits, Phase

SENT_ALREADY_S = 0.05
"""Seconds, when the server ends, for a request that is on its way over an open connection."""
NEWCOMERS_S = 0.5
"""Seconds, when the server ends, for the handshake and the first request of accepted connections."""
DRAIN_STEP_S = 0.01
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, 9.2.1)."""
NAMED_MOST, PATH_MOST = 3, 120
"""Requests that are named, and characters of each path."""
PLAIN_TIMEOUT_S = 5.0
PLAIN_MAX_BYTES = 16384
_PORT = re.compile(r"(^[^:]*|\]):[0-9]+$")
"""At the end of a Host header: an IPv6 address has brackets there."""


@attrs.frozen
class Request:
    """A request under way; `path` without what is behind a question mark."""

    method: str
    path: str
    tracked: Connection


class BoundedHTTPServer(HTTPServer):
    """An HTTPServer that redirects plain HTTP on a TLS port to https, and tracks its open requests."""

    names: frozenset[str] = frozenset()
    """The host names that a Host header may have, "*.example.org" too; addresses are always allowed."""
    knows: Callable[[HTTPServerRequest], bool]
    """Whether a request's header carries the cookie of a login."""
    judge_token: Callable[[HTTPServerRequest], Awaitable[Literal[True] | Refusal | None]]
    """Whether a request's header carries the lasting token; None: it carries none. A wrong one counts as a guess."""
    allows_origin: Callable[[str], bool]
    """Whether the configuration names this origin (lower case) as one whose pages may use the server."""
    set_origin: Callable[[Any, HTTPHeaders], None]
    """Gives the context of a connection the address and the scheme that this request came from."""

    limits: Limits
    tell: Callable[[str], None]
    """Logs a sentence."""
    note: Callable[[str], None]
    """Told the requests under way, whenever they change."""

    def initialize(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - tornado's own
        """Tornado's constructor (tornado.util.Configurable)."""
        super().initialize(*args, **options)
        self.knows = lambda _: False
        self.judge_token = _no_token
        self.allows_origin = lambda _: False
        self.open_requests: dict[object, Request] = {}
        self.note = lambda _: None

    def add_sockets(self, sockets: Iterable[socket.socket]) -> None:
        """Tornado's hook: accept from now on. In the running event loop."""
        self.connections = Connections(self.limits, asyncio.get_running_loop(), self.tell)
        self._handshakes = Handshakes(
            self.connections, self.limits.handshakes_at_once, self._serve_tls, self._serve_plain
        )
        for each in sockets:
            self._sockets[each.fileno()] = each
            self._handlers[each.fileno()] = accept_from(
                each, self._arrived, self._failed_to_accept, self.limits.accept_pause_s
            )

    def may_call(self, host: str) -> bool:
        """Whether this Host header names this server. Other names are refused, against DNS rebinding."""
        name = host_name(host)
        if name in self.names or f"*.{name.partition('.')[2]}" in self.names or name.endswith(".localhost"):
            return True
        return net.is_address(name)  # the name in a rebinding attack is a name

    async def drain(self, timeout_s: float, changes_s: float = 0.0) -> None:
        """After `stop`: wait until all requests under way are answered and read, `timeout_s` at most, or `changes_s`
        while one of them changes something. What is not answered then is told.
        """
        self.conn_params.no_keep_alive = True  # an answer from now on says "Connection: close"
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (waited := loop.time() - began) < timeout_s or (waited < changes_s and self._changes()):
            expected = waited < SENT_ALREADY_S or (waited < NEWCOMERS_S and self.connections.newcomers)
            if not self.open_requests and not expected and not self.connections.unread:
                return
            await asyncio.sleep(DRAIN_STEP_S)
        if self.open_requests:
            self.tell(f"continues without having answered: {self.under_way()}")

    def _changes(self) -> bool:
        """Whether a request under way may change something. A body that a stranger sends slowly is not waited for."""
        return any(
            each.method not in SAFE and (each.tracked.known or each.tracked.phase is not Phase.BODY)
            for each in self.open_requests.values()
        )

    def under_way(self) -> str:
        """The latest requests under way, "PUT /api/contents/a.ipynb, GET /tree and 2 more"; "" for none."""
        named = [f"{each.method} {each.path}" for each in islice(reversed(self.open_requests.values()), NAMED_MOST)]
        more = len(self.open_requests) - len(named)
        return ", ".join(named) + (f" and {more} more" if more else "")

    def request_began(self, connection: Any, method: str, target: str) -> None:  # noqa: ANN401 - an HTTP1Connection
        """Note a request that goes to the application."""
        path = unquote(target.partition("?")[0])[:PATH_MOST]  # behind the question mark may be a token
        self.open_requests[connection] = Request(method[:PATH_MOST], path, connection.context.tracked)
        self.note(self.under_way())

    def hang_up_idle(self) -> None:
        """Shut down every connection that has no request under way, websockets too, without the event loop: for a
        thread, while the loop stands still. Browsers then connect again, and reach the next server.
        """
        for each in self.connections.everybody():
            if each.phase not in {Phase.HEADER, Phase.BODY, Phase.WAITING}:
                with suppress(OSError):
                    each.hang_up()

    def request_ended(self, connection: object) -> None:
        """Note that a response is complete, or that its connection has closed."""
        if self.open_requests.pop(connection, None) is not None:
            self.note(self.under_way())

    def answered(self, handler: Any, user: object) -> None:  # noqa: ANN401 - tornado's or an extension's
        """Note an answered request. `user` None: no login."""
        connection = handler.request.connection
        self.request_ended(connection)
        tracked: Connection = connection.context.tracked
        if user is not None:
            self.connections.recognise(tracked)
        if handler.get_status() == HTTPStatus.SWITCHING_PROTOCOLS:
            self.connections.enter(tracked, Phase.OPEN)
            if user is None:  # of a handler that an extension has opened to everybody
                handler.ws_connection.params.max_message_size = self.limits.stranger_body_bytes

    def start_request(self, server_conn: object, request_conn: Any) -> HTTPMessageDelegate:  # noqa: ANN401 - tornado's
        """Tornado's hook: a connection is ready for its next request."""
        return Gate(self, super().start_request(server_conn, request_conn), request_conn)

    def _arrived(self, connection: socket.socket, address: Any) -> None:  # noqa: ANN401 - as accept(2) gives it
        connection.setblocking(False)  # noqa: FBT003 - socket's own
        tracked = self.connections.admit(address, connection.close)
        tracked.hang_up = partial(connection.shutdown, socket.SHUT_RDWR)
        if self.ssl_options is None:
            self._serve(Plain(connection, max_buffer_size=self.max_buffer_size), tracked, address)
        else:
            self._handshakes.await_first_byte(connection, tracked, address)

    def _serve_tls(self, connection: socket.socket, tracked: Connection, address: Any) -> None:  # noqa: ANN401 - the same
        context = self.ssl_options
        assert isinstance(context, ssl.SSLContext)  # noqa: S101 - as the application gives it
        try:
            wrapped = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        except OSError:  # it was closed by the other side just now (ssl.SSLError is one too)
            connection.close()
            self.connections.leave(tracked)
            return
        self._serve(Secure(wrapped, max_buffer_size=self.max_buffer_size), tracked, address)

    def _serve(self, stream: Plain | Secure, tracked: Connection, address: Any) -> None:  # noqa: ANN401 - the same
        stream.watch(self.connections, tracked)
        # All that this connection causes from now on runs in this context.
        context = contextvars.copy_context()
        context.run(CALLER.set, Caller())
        context.run(self.handle_stream, stream, address)

    def _serve_plain(self, connection: socket.socket, tracked: Connection, _address: object) -> None:
        stream = Plain(connection)
        stream.watch(self.connections, tracked)
        task = asyncio.get_running_loop().create_task(_point_to_https(stream))
        self.open_requests[task] = Request("GET", "over plain HTTP", tracked)  # which also keeps it alive
        task.add_done_callback(self.request_ended)

    def _failed_to_accept(self, error: OSError) -> None:
        closed = self.connections.shed(self.limits.accept_shed)
        self.connections.say(
            "accept",
            f"no connection can be accepted now: {error.strerror}; {closed} silent ones were closed, and the next try "
            f"is in {self.limits.accept_pause_s} s (LimitNOFILE= in the unit, ulimit -n in a terminal)",
        )


async def _no_token(_: HTTPServerRequest) -> None:
    return None


async def _point_to_https(stream: Plain) -> None:
    """Answer plain HTTP on the TLS port with a redirect to https, and close."""
    try:
        async with asyncio.timeout(PLAIN_TIMEOUT_S):
            head = await stream.read_until(b"\r\n\r\n", max_bytes=PLAIN_MAX_BYTES)
            await stream.write(plain_answer(head))
    except (StreamClosedError, UnsatisfiableReadError, TimeoutError):
        pass  # whatever it was, it is no browser
    finally:
        stream.close()


def plain_answer(head: bytes) -> bytes:
    """What a browser that speaks plain HTTP is told. `head`: its request up to the empty line."""
    request, *lines = head.decode("latin-1").split("\r\n")
    method, _, rest = request.partition(" ")
    target = rest.partition(" ")[0]
    host = next((line[5:].strip() for line in lines if line.lower().startswith("host:")), "")
    if method not in ("GET", "HEAD") or not target.startswith("/") or not HOST.fullmatch(host):
        text = "This port speaks HTTPS only.\n"
        lines = ["HTTP/1.1 400 Bad Request", f"Content-Length: {len(text)}", "Connection: close", "", text]
        return "\r\n".join(lines).encode()
    # Without a port in it the request came to port 80, and https:// alone would lead to 443.
    where = host if _PORT.search(host) else f"{host}:80"
    lines = [
        "HTTP/1.1 307 Temporary Redirect", f"Location: https://{where}{target}", "Content-Length: 0",
        "Cache-Control: no-store", "Connection: close", "", "",
    ]  # fmt: skip
    return "\r\n".join(lines).encode("latin-1")


class _CountedStream:
    """A mixin for tornado's streams that counts bytes."""

    connections: Connections
    tracked: Connection

    def watch(self, connections: Connections, tracked: Connection) -> None:
        """Report this stream's bytes and its end to `connections`."""
        self.connections, self.tracked = connections, tracked
        tracked.close, tracked.unread = self.close, self.writing
        tracked.buffered = lambda: self._read_buffer_size
        # Not SSLSocket's own, which would also drop the TLS state that the event loop may be using.
        tracked.hang_up = lambda: socket.socket.shutdown(self.socket, socket.SHUT_RDWR)

    close: Any
    writing: Any
    socket: Any
    _read_buffer_size: int

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        """Tornado's hook."""
        count: int | None = super().read_from_fd(buf)  # type: ignore[misc]  # the stream's
        if count:
            self.connections.transferred(self.tracked, count, incoming=True)
        return count

    def write_to_fd(self, data: memoryview) -> int:
        """Tornado's hook."""
        count: int = super().write_to_fd(data)  # type: ignore[misc]  # the stream's
        if count:
            self.connections.transferred(self.tracked, count, incoming=False)
        return count

    def close_fd(self) -> None:
        """Tornado's hook, called once, by whichever side the stream is closed."""
        super().close_fd()  # type: ignore[misc]  # the stream's
        self.connections.leave(self.tracked)


class Plain(_CountedStream, IOStream):
    """A counted stream over TCP."""


class Secure(_CountedStream, SSLIOStream):
    """A counted stream over TLS."""

    def close_fd(self) -> None:
        """Tornado's hook. Sends the close_notify that tornado leaves out (RFC 8446, 6.1): without it the client cannot
        tell a complete answer from a truncated one, and with OpenSSL 3.5 its session cannot be resumed.
        """
        with suppress(OSError, ValueError):  # the peer has gone, or the handshake never ended
            self.socket.unwrap()  # does not block: the socket does not, and nobody waits for the peer's answer
        super().close_fd()
