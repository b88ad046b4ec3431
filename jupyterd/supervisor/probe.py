"""Probes: TCP, TLS and HTTP with the server over an address that the user would use, step by step on the poller.

Decides nothing about health; it reports its result in one phrase.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
import sys
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING

from jupyterd.core.effects import Probe
from jupyterd.core.events import ProbeEnded
from jupyterd.linux import interfaces
from jupyterd.protocol.plan import Target
from jupyterd.supervisor import clock
from jupyterd.supervisor.poller import READ, WRITE, Poller
from jupyterd.text import bracketed

if TYPE_CHECKING:
    from hashlib import sha256
elif sys.version_info >= (3, 12):
    from _sha2 import sha256
else:
    from _sha256 import sha256
# hashlib's own last resort: hashlib itself brings OpenSSL's digests and blake2, 0.7 MB.

_HEADERS_MOST_BYTES = 16384
_OK = b"200"
_SHOWN = 16
"""How many hex digits of a fingerprint a phrase shows."""
_CONNECT_PHRASES = {
    errno.ECONNREFUSED: "connection refused",
    errno.ENETUNREACH: "network unreachable",
    errno.EHOSTUNREACH: "host unreachable",
}
_CLOSED = "the connection was closed without an answer"

Talk = Generator[int, None, str | None]
"""Yields what to wait for (READ, WRITE), returns the problem or None."""


class Exchange:
    """A probe under way; owns its socket and its timer. Ends once, with one ProbeEnded, unless it is closed before."""

    def __init__(
        self,
        poller: Poller,
        context: ssl.SSLContext,
        probe: Probe,
        ended: Callable[[Exchange, str | None, str | None], ProbeEnded],
    ) -> None:
        """`ended` is called when the probe ends by itself, with the problem and the served SHA-256; makes the event."""
        self._poller = poller
        self._context = context
        self.probe = probe
        self._ended = ended
        self._served: str | None = None
        family = socket.AF_INET6 if ":" in probe.target.address else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._timer = poller.call_at(time.monotonic() + probe.timeout_s, self._too_late)
        self._talk = self._begin()

    def turn(self) -> list[ProbeEnded]:
        """Continue until the next would-block. Returns [ProbeEnded] when the probe has ended, else []."""
        try:
            mask = next(self._talk)
        except StopIteration as end:
            return self._end(end.value)
        self._poller.register(self._socket.fileno(), mask, self.turn)
        return []

    def close(self) -> None:
        """Stop without a ProbeEnded."""
        self._poller.cancel(self._timer)
        self._poller.unregister(self._socket.fileno())
        self._talk.close()
        self._socket.close()

    def _end(self, problem: str | None) -> list[ProbeEnded]:
        self.close()
        return [self._ended(self, problem, self._served)]

    def _too_late(self) -> list[ProbeEnded]:
        return self._end(f"no answer for {self.probe.timeout_s:g} s")

    def _begin(self) -> Talk:
        target = self.probe.target
        code = self._socket.connect_ex((target.address, target.port))  # at once on loopback: no wake-up
        if code == errno.EINPROGRESS:
            yield WRITE
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            return _CONNECT_PHRASES.get(code, os.strerror(code))
        if self.probe.sha256 is not None:
            problem = yield from self._shake_hands(self.probe.sha256)
            if problem is not None:
                return problem
        return (yield from self._ask())

    def _shake_hands(self, wanted_sha256: str) -> Talk:
        # As bytes: a str would go through the codec "idna", whose tables cost 1 MB.
        tls = self._context.wrap_socket(
            self._socket, do_handshake_on_connect=False, server_hostname=_indicated_name(self.probe.target)
        )
        self._socket = tls
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                yield READ
            except ssl.SSLWantWriteError:
                yield WRITE
            except OSError as error:
                return f"TLS handshake failed: {_reason(error)}"
        self._served = sha256(tls.getpeercert(binary_form=True) or b"").hexdigest()
        if self._served != wanted_sha256:
            return (
                f"serves a different certificate than the one on disk "
                f"(sha256 {self._served[:_SHOWN]}..., on disk {wanted_sha256[:_SHOWN]}...)"
            )
        return None

    def _ask(self) -> Talk:
        unsent = _request(self.probe)
        answer = b""
        try:
            while unsent:
                try:
                    unsent = unsent[self._socket.send(unsent) :]
                except (BlockingIOError, ssl.SSLWantWriteError):
                    yield WRITE
                except ssl.SSLWantReadError:
                    yield READ
            while b"\r\n\r\n" not in answer:
                if len(answer) > _HEADERS_MOST_BYTES:
                    return "answers with HTTP headers that are too long"
                try:
                    data = self._socket.recv(_HEADERS_MOST_BYTES)
                except (BlockingIOError, ssl.SSLWantReadError):
                    yield READ
                    continue
                if not data:
                    return _CLOSED
                answer += data
        except OSError:
            return _CLOSED
        return _verdict(answer)


def _request(probe: Probe) -> bytes:
    target = probe.target
    name = bracketed(target.name)
    return (
        f"GET {probe.path} HTTP/1.1\r\nHost: {name}:{target.port}\r\nUser-Agent: jupyterd\r\nConnection: close\r\n\r\n"
    ).encode()


def _verdict(answer: bytes) -> str | None:
    protocol, _, rest = answer.partition(b"\r\n")[0].partition(b" ")
    code = rest[:3]
    if not protocol.startswith(b"HTTP/1.") or not code.isdigit():
        return "does not answer in HTTP"
    return None if code == _OK else f"HTTP {code.decode()}"


def _indicated_name(target: Target) -> bytes | None:
    """The name for server name indication; None for an address, which SNI does not allow (RFC 6066)."""
    is_literal = ":" in target.name or target.name.replace(".", "").isdigit()
    return None if is_literal else target.name.encode("ascii", errors="ignore")


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ConnectionError):
        return "the connection was closed"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return error.strerror or str(error)


class Probes:
    """Owns the exchanges."""

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self._under_way: set[Exchange] = set()
        self._present: tuple[str, ...] = ()
        # No authority is trusted and none needs to be: the served certificate is compared with the one on disk.
        # So no trust store is loaded, which would cost 2 MB.
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE

    def begin(self, probe: Probe) -> list[ProbeEnded]:
        """Begin a probe. Returns [ProbeEnded] if it ends at once; otherwise the poller delivers it later."""
        try:
            exchange = Exchange(self._poller, self._context, probe, self._ended)
        except OSError as error:  # no IPv6, no more descriptors
            return [self._event(probe, error.strerror or str(error), None)]
        self._under_way.add(exchange)
        return exchange.turn()

    def _ended(self, exchange: Exchange, problem: str | None, served: str | None) -> ProbeEnded:
        self._under_way.discard(exchange)
        return self._event(exchange.probe, problem, served)

    def _event(self, probe: Probe, problem: str | None, served: str | None) -> ProbeEnded:
        present = interfaces.present()
        if present != self._present:
            self._present = present  # the last few hundred events are kept: all of them hold the same texts
        return ProbeEnded(probe.target, problem, served, clock.read(), self._present)

    def cancel(self) -> None:
        """Close all probes without a ProbeEnded."""
        for exchange in self._under_way:
            exchange.close()
        self._under_way.clear()
