"""Ports, TLS without trust, and a websocket's handshake, for tests that play the browser themselves."""

from __future__ import annotations

import base64
import os
import socket
import ssl
from collections.abc import Mapping


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody has at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def no_trust() -> ssl.SSLContext:
    """A client's context that takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def websocket(port: int, path: str, cookies: Mapping[str, str], host: str = "localhost") -> ssl.SSLSocket:
    """An open websocket over TLS. AssertionError, with the answer, where it is refused.

    `host` is the one that gave the cookies: its name is in theirs.
    """
    connection = no_trust().wrap_socket(socket.create_connection(("127.0.0.1", port), 20), server_hostname="localhost")
    key = base64.b64encode(os.urandom(16)).decode()
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    connection.sendall(
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nCookie: {cookie}\r\n\r\n".encode()
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):  # byte by byte: what follows is the websocket's
        data = connection.recv(1)
        assert data, answer
        answer += data
    assert answer.startswith(b"HTTP/1.1 101"), answer
    return connection


def type_text(connection: ssl.SSLSocket, text: str) -> None:
    """Send one text message, at most 125 bytes long, as a client does: masked, by zeros (RFC 6455, 5.3)."""
    data = text.encode()
    assert len(data) < 126
    connection.sendall(bytes([0x81, 0x80 | len(data), 0, 0, 0, 0]) + data)
