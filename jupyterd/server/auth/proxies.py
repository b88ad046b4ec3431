"""Applies X-Forwarded-For and X-Forwarded-Proto, from the proxies that the settings name only.

Between the HTTP server and the application, so that every handler and every log line sees the same address. Jupyter's
own trust_xheaders trusts every peer: with it a guesser could claim a new address for each guess.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from tornado.httputil import (
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_SCHEMES = ("http", "https")


def networks(trusted: Iterable[str]) -> tuple[Network, ...]:
    """Parse the setting [login] trusted_proxies, which was validated."""
    return tuple(ipaddress.ip_network(each, strict=False) for each in trusted)


def plain(address: str) -> str | None:
    """The address without a zone, a mapped IPv4 address as IPv4; None if `address` is not an address."""
    try:
        found = ipaddress.ip_address(address.strip().partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


def caller(peer: str, forwarded: str, trusted: tuple[Network, ...]) -> str:
    """The last address in X-Forwarded-For (`forwarded`) that is not a trusted proxy, or `peer` if that is not one.

    Each proxy appends the address that it saw; whatever stands before an untrusted one can be forged.
    """
    nearest = plain(peer) or peer
    for each in reversed(forwarded.split(",")):
        if not _is_trusted(nearest, trusted):
            break
        told = plain(each)
        if told is None:
            break
        nearest = told
    return nearest


def _is_trusted(address: str, trusted: tuple[Network, ...]) -> bool:
    if not trusted or plain(address) is None:
        return False
    found = ipaddress.ip_address(address)
    return any(found in network for network in trusted)


class ForwardedFor(HTTPServerConnectionDelegate):
    """Stands before the application and gives each request the address and the scheme that it came from."""

    def __init__(self, inner: HTTPServerConnectionDelegate) -> None:
        self._inner = inner
        self.trusted: tuple[Network, ...] = ()

    def start_request(self, server_conn: object, request_conn: Any) -> HTTPMessageDelegate:  # noqa: ANN401 - tornado's
        """Tornado's hook for each request."""
        return _ForwardedRequest(self, self._inner.start_request(server_conn, request_conn), request_conn)

    def on_close(self, server_conn: object) -> None:
        """Tornado's hook, called when the connection has closed."""
        self._inner.on_close(server_conn)

    def set_origin(self, context: Any, headers: HTTPHeaders) -> None:  # noqa: ANN401 - an _HTTPRequestContext
        """Set address and scheme of the request; for each one, as a proxy's connection serves many people."""
        address = context.address
        peer = str(address[0]) if isinstance(address, tuple) else ""
        if peer:
            context.remote_ip = caller(peer, ",".join(headers.get_list("X-Forwarded-For")), self.trusted)
        scheme = headers.get("X-Forwarded-Proto", "").rpartition(",")[2].strip().lower()
        if scheme in _SCHEMES and _is_trusted(plain(peer) or peer, self.trusted):
            context.protocol = scheme
        else:
            context.protocol = context._orig_protocol  # noqa: SLF001 - as tornado's own _unapply_xheaders


class _ForwardedRequest(HTTPMessageDelegate):
    def __init__(self, forwarded: ForwardedFor, inner: HTTPMessageDelegate, connection: Any) -> None:  # noqa: ANN401
        self._forwarded, self._inner, self._connection = forwarded, inner, connection

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> Any:  # noqa: ANN401
        self._forwarded.set_origin(self._connection.context, headers)
        return self._inner.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Any:  # noqa: ANN401
        return self._inner.data_received(chunk)

    def finish(self) -> None:
        self._inner.finish()

    def on_connection_close(self) -> None:
        self._inner.on_connection_close()
