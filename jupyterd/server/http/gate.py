"""Between a connection and the application: what a request may not be is refused here, before a handler exists.

tornado keeps a body in memory until all of it is there, and only then asks who sent it. So the gate asks first, and
whoever has no login may send little.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs
from tornado.httputil import (
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerRequest,
    RequestStartLine,
    ResponseStartLine,
)

from jupyterd.server.http.caller import CALLER, Caller
from jupyterd.server.http.timeouts import Connection, Phase

if TYPE_CHECKING:
    from jupyterd.server.http.server import BoundedHTTPServer

HEADER_BYTES = 65536
"""For HTTPServer: the largest header. A browser with many cookies of one host sends some 20 kB."""
HEADER_LINES = 128
"""The most lines of a header; browsers send about 20, and each proxy adds a few."""
_COUNTED_HERE = 1 << 62
_LENGTH_DIGITS = 15
_LIST, _LENGTH = re.compile(r",[ \t]*"), re.compile(r"[0-9]{1,4300}")
"""4,300 digits: Python reads no longer numbers."""
_PORT = re.compile(r"(:[0-9]*)?")
HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")


@attrs.frozen
class Refusal:
    """An answer instead of the application's; the connection is closed after it."""

    status: int
    reason: str
    text: str
    """What to do about it, in one or more lines."""
    retry_after_s: float | None = None


class Gate(HTTPMessageDelegate):
    """One request of a connection. Passes on to `inner` what is not refused, and reports progress to connections.py."""

    def __init__(self, front: BoundedHTTPServer, inner: HTTPMessageDelegate, connection: Any) -> None:  # noqa: ANN401 - an HTTP1Connection
        self.front = front
        self.inner: HTTPMessageDelegate | None = inner
        self.connection = connection
        self.tracked: Connection = connection.stream.tracked
        connection.context.tracked = self.tracked
        self.room: int | None = None
        """Bytes that the rest of the body may have; None: as many as tornado's own limit allows."""
        self.body_follows = False
        self.refused_bytes = 0
        self.is_api = self.is_head = False
        front.connections.request_ended(self.tracked)
        if self.tracked.served:
            front.connections.enter(self.tracked, Phase.KEEP_ALIVE)

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> Any:  # noqa: ANN401
        """Tornado's hook."""
        assert isinstance(start_line, RequestStartLine)  # noqa: S101 - of a server's connection
        self.tracked.served += 1
        self.front.connections.enter(self.tracked, Phase.BODY)
        self.is_api, self.is_head = "/api/" in start_line.path, start_line.method == "HEAD"
        if _is_unclear(headers):
            self.inner = None  # tornado refuses it when it comes to the body; two answers would be one too many
            return None
        announced = _announced_bytes(headers)
        self.body_follows = announced > 0 and "Expect" not in headers
        if refusal := self._refusal(start_line, headers):
            self._refuse(refusal)
            return None
        asked = HTTPServerRequest(connection=self.connection, start_line=start_line, headers=headers)
        CALLER.set(caller := Caller(secure=self.connection.context.protocol == "https"))
        if self.front.knows(asked):
            caller.known = True
            self.front.connections.recognise(self.tracked)
            return self._pass_on(start_line, headers)
        self.room = self.front.limits.stranger_body_bytes
        if announced > self.room:
            return self._ask_first(caller, asked, start_line, headers)
        return self._pass_on(start_line, headers)

    def _refusal(self, start_line: RequestStartLine, headers: HTTPHeaders) -> Refusal | None:
        """Whatever nobody may send, with a login or without."""
        if sum(1 for _ in headers.get_all()) > HEADER_LINES:
            text = f"The header of this request has more than {HEADER_LINES} lines."
            return Refusal(431, "Request Header Fields Too Large", text)
        if "\\" in start_line.path.partition("?")[0]:  # browsers take it for a slash: Jupyter would redirect to //evil
            return Refusal(400, "Bad Request", "The address has a backslash in it.")
        host = headers.get("Host", "")
        if not self.front.may_call(host):
            return _foreign(host)
        self.front.set_origin(self.connection.context, headers)
        return self._foreign_page(host, headers)

    def _foreign_page(self, host: str, headers: HTTPHeaders) -> Refusal | None:
        """The refusal of a page that came over plain HTTP from the host and port that serve TLS: Jupyter compares host
        and port only, and somebody between the browser and us can make such a page.
        """
        context = self.connection.context
        for name in ("Origin", "Sec-Websocket-Origin"):
            if name not in headers:
                continue
            origin = headers[name].lower()
            scheme, netloc = _split(origin)
            if scheme is None:
                return Refusal(400, "Bad Request", f"The header {name} is no origin.")
            downgraded = context.protocol == "https" and scheme != "https" and netloc == host.lower()
            if downgraded and not self.front.allows_origin(origin):
                return Refusal(403, "Forbidden", "This comes from a page over plain HTTP: open it with https://")
        if "Referer" in headers:
            scheme, netloc = _split(headers["Referer"].lower())
            if scheme is None or (context.protocol == "https" and scheme != "https" and netloc == host.lower()):
                del headers["Referer"]  # Jupyter refuses what needs one
        return None

    async def _ask_first(
        self, caller: Caller, asked: HTTPServerRequest, start_line: RequestStartLine, headers: HTTPHeaders
    ) -> None:
        """A large body without a cookie: the token decides, and a wrong one counts as a guess before a byte is read."""
        verdict = await self.front.judge_token(asked)
        if verdict is True:
            self.room = None
            caller.known = True
            self.front.connections.recognise(self.tracked)
        elif isinstance(verdict, Refusal):
            self._refuse(verdict)
            return
        elif "Content-Length" in headers:  # without a token; a chunked body may still turn out to be small
            self._refuse(self._too_large())
            return
        passed_on = self._pass_on(start_line, headers)
        if passed_on is not None:
            await passed_on

    def _pass_on(self, start_line: RequestStartLine, headers: HTTPHeaders) -> Any:  # noqa: ANN401 - tornado's own
        if self.room is not None:
            self.connection.set_max_body_size(_COUNTED_HERE)
        if headers.get("Upgrade", "").lower() != "websocket":  # those stay for days
            self.front.request_began(self.connection, start_line.method, start_line.path)
        return None if self.inner is None else self.inner.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Any:  # noqa: ANN401
        """Tornado's hook."""
        if self.inner is None:
            self._drop(len(chunk))
            return None
        if self.room is not None:
            self.room -= len(chunk)
            if self.room < 0:
                self.inner.on_connection_close()  # which lets go of what has come
                self.front.request_ended(self.connection)
                self._refuse(self._too_large())
                return None
        return self.inner.data_received(chunk)

    def finish(self) -> None:
        """Tornado's hook: the request is complete."""
        if self.inner is None:
            self.connection.close()
            return
        if self.tracked.phase is Phase.BODY:
            self.front.connections.enter(self.tracked, Phase.WAITING)
        self.inner.finish()

    def on_connection_close(self) -> None:
        """Tornado's hook."""
        self.front.request_ended(self.connection)
        if self.inner is not None:
            self.inner.on_connection_close()

    # --- refusals -------------------------------------------------------------------------------------------------

    def _refuse(self, refusal: Refusal) -> None:
        """Answer at once. What is on its way of the body is read and dropped for a while: closing a connection with
        unread data resets it (RFC 9112, 9.6), and the client would not see the answer.
        """
        self.inner = None
        answer = HTTPHeaders({
            "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Connection": "close",
            "Content-Type": "application/json" if self.is_api else "text/plain; charset=utf-8",
        })  # fmt: skip
        text = f"{refusal.status}: {refusal.text}\n"
        body = (json.dumps({"message": text.strip(), "reason": None}) if self.is_api else text).encode()
        answer["Content-Length"] = str(len(body))
        if refusal.retry_after_s is not None:
            answer["Retry-After"] = str(round(refusal.retry_after_s))
        self.connection.set_max_body_size(_COUNTED_HERE)
        self.connection.write_headers(
            ResponseStartLine("HTTP/1.1", refusal.status, refusal.reason), answer, b"" if self.is_head else body
        )
        if self.body_follows:
            asyncio.get_running_loop().call_later(self.front.limits.refused_body_s, self.connection.close)
        else:
            self.connection.finish()  # which closes

    def _drop(self, count: int) -> None:
        self.refused_bytes += count
        if self.refused_bytes > self.front.limits.refused_body_bytes:
            self.connection.close()

    def _too_large(self) -> Refusal:
        most = self.front.limits.stranger_body_bytes // 1024
        text = f"Without a login a request may have {most} KiB. If you were logged in here: log in again."
        return Refusal(413, "Content Too Large", text)


def _split(url: str) -> tuple[str, str] | tuple[None, None]:
    """(scheme, host and port) of an address; None where it is none (urllib.parse raises, also inside of Jupyter)."""
    try:
        found = urlsplit(url)
    except ValueError:
        return None, None
    return found.scheme, found.netloc


def _announced_bytes(headers: HTTPHeaders) -> float:
    """Bytes of the body as far as its header, which is clear, tells; infinite for a chunked one."""
    if "Transfer-Encoding" in headers:
        return float("inf")
    length = headers.get("Content-Length", "0").partition(",")[0]
    return float("inf") if len(length) > _LENGTH_DIGITS else int(length)


def _is_unclear(headers: HTTPHeaders) -> bool:
    """Whether it says two things about the length of the body, or nothing that is a length: a proxy before us may have
    understood something else (RFC 9112, 6.3).
    """
    coding, lengths = headers.get("Transfer-Encoding"), _LIST.split(headers.get("Content-Length", "0"))
    if coding is not None and ("Content-Length" in headers or coding.lower() != "chunked"):
        return True
    return len(set(lengths)) > 1 or _LENGTH.fullmatch(lengths[0]) is None


def host_name(host: str) -> str:
    """The name or address in a Host header, without port and brackets, lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        name, _, port = host[1:].partition("]")
        return name if _PORT.fullmatch(port) else ""
    return host.rpartition(":")[0].rstrip(".") if ":" in host else host.rstrip(".")


def _foreign(host: str) -> Refusal:
    name = host_name(host) if HOST.fullmatch(host) else "?"
    return Refusal(
        403,
        "Forbidden",
        f'this server is not known as "{name}". If that is one of its names, add it in jupyterd.toml,\n'
        f'[server] names = ["{name}"], then type: sudo systemctl reload jupyterd (or start ./run again)',
    )
