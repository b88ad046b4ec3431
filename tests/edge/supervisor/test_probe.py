"""Probes against real servers, most of them sick."""

from __future__ import annotations

import contextlib
import gc
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest

from jupyterd.core.effects import Probe
from jupyterd.core.events import Event, ProbeEnded
from jupyterd.protocol.plan import Target
from jupyterd.supervisor.poller import Poller
from jupyterd.supervisor.probe import Probes

Handle = Callable[[socket.socket], None]
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@contextlib.contextmanager
def serving(handle: Handle, host: str = "127.0.0.1") -> Iterator[int]:
    """A server that gives each connection to `handle`; its port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.bind((host, 0))
        listener.listen(64)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        connection.settimeout(5)
                        handle(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data and (more := connection.recv(4096)):
        data += more
    return data


def answering(answer: bytes, pair=None, asked: list[bytes] | None = None) -> Handle:
    def handle(connection: socket.socket) -> None:
        if pair is not None:
            connection = pair.context().wrap_socket(connection, server_side=True)
        with connection:
            request = read_request(connection)
            if asked is not None:
                asked.append(request)
            connection.sendall(answer)

    return handle


def silent(connection: socket.socket) -> None:
    """Take everything, say nothing, until the other end has had enough."""
    while connection.recv(4096):
        pass


def probe(port: int, sha256: str | None, *, timeout_s: float = 5.0, name: str = "localhost") -> Probe:
    address = name if ":" in name else "127.0.0.1"
    return Probe(Target(name, address, port, 0, needed=True), "/lab1/api", sha256, timeout_s)


@pytest.fixture
def outcome(poller: Poller, drive: Callable[..., list[Event]]) -> Callable[[Probe], ProbeEnded]:
    def of(one: Probe) -> ProbeEnded:
        probes = Probes(poller)
        (ended,) = drive(bool, probes.begin(one))
        assert isinstance(ended, ProbeEnded)
        assert ended.target == one.target
        assert poller.deadline() is None
        return ended

    return of


Outcome = Callable[[Probe], ProbeEnded]


def test_good_over_tls(outcome: Outcome, pair) -> None:
    asked: list[bytes] = []
    with serving(answering(GOOD, pair, asked)) as port:
        ended = outcome(probe(port, pair.sha256))
    assert ended.problem is None
    assert ended.served_sha256 == pair.sha256
    assert asked[0].startswith(f"GET /lab1/api HTTP/1.1\r\nHost: localhost:{port}\r\n".encode())


def test_good_over_plain_http_and_ipv6(outcome: Outcome) -> None:
    asked: list[bytes] = []
    with serving(answering(GOOD, None, asked), "::1") as port:
        ended = outcome(probe(port, None, name="::1"))
    assert (ended.problem, ended.served_sha256) == (None, None)
    assert f"\r\nHost: [::1]:{port}\r\n".encode() in asked[0]


def test_name_is_indicated_and_an_address_is_not(outcome: Outcome, pair) -> None:
    names: list[str | None] = []

    def handle(connection: socket.socket) -> None:
        context = pair.context()
        context.sni_callback = lambda _tls, name, _context: names.append(name)
        with context.wrap_socket(connection, server_side=True) as tls:
            read_request(tls)
            tls.sendall(GOOD)

    with serving(handle) as port:
        assert outcome(probe(port, pair.sha256, name="gpu.lan")).problem is None
        assert outcome(probe(port, pair.sha256, name="127.0.0.1")).problem is None
    assert names == ["gpu.lan", None]


def test_another_certificate(outcome: Outcome, pair, make_pair) -> None:
    other = make_pair()
    with serving(answering(GOOD, other)) as port:
        ended = outcome(probe(port, pair.sha256))
    assert ended.problem is not None
    assert ended.problem.startswith(f"serves a different certificate than the one on disk (sha256 {other.sha256[:16]}")
    assert ended.served_sha256 == other.sha256


def test_mute_before_tls_and_after(outcome: Outcome, pair) -> None:
    def shakes_hands_only(connection: socket.socket) -> None:
        with pair.context().wrap_socket(connection, server_side=True) as tls:
            silent(tls)

    with serving(silent) as port:
        ended = outcome(probe(port, pair.sha256, timeout_s=0.2))
    assert (ended.problem, ended.served_sha256) == ("no answer for 0.2 s", None)
    with serving(shakes_hands_only) as port:
        ended = outcome(probe(port, pair.sha256, timeout_s=0.3))
    assert (ended.problem, ended.served_sha256) == ("no answer for 0.3 s", pair.sha256)


def test_a_listener_that_nobody_accepts_from(outcome: Outcome) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert outcome(probe(listener.getsockname()[1], None, timeout_s=0.2)).problem == "no answer for 0.2 s"


def test_slow_headers_byte_by_byte(outcome: Outcome) -> None:
    def drip(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        read_request(connection)
        for byte in GOOD:
            connection.sendall(bytes([byte]))

    def never_end(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: y")
        silent(connection)

    with serving(drip) as port:
        assert outcome(probe(port, None)).problem is None
    with serving(never_end) as port:
        assert outcome(probe(port, None, timeout_s=0.2)).problem == "no answer for 0.2 s"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"HTTP/1.1 500 Internal Server Error\r\n\r\n", "HTTP 500"),
        (b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n", "HTTP 302"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not answer in HTTP"),
        (b"", "the connection was closed without an answer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 40000, "answers with HTTP headers that are too long"),
    ],
)
def test_bad_answers(outcome: Outcome, pair, answer: bytes, problem: str) -> None:
    with serving(answering(answer)) as port:
        assert outcome(probe(port, None)).problem == problem
    with serving(answering(answer, pair)) as port:
        assert outcome(probe(port, pair.sha256)).problem == problem


def test_plain_http_where_tls_is_wanted(outcome: Outcome, pair) -> None:
    with serving(lambda connection: (connection.recv(4096), connection.sendall(GOOD))) as port:
        problem = outcome(probe(port, pair.sha256)).problem
    assert problem is not None
    assert problem.startswith("TLS handshake failed: ")
    with serving(lambda connection: connection.recv(1)) as port:
        assert outcome(probe(port, pair.sha256)).problem == "TLS handshake failed: the connection was closed"


def test_refused_and_unreachable(outcome: Outcome) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        assert outcome(probe(held.getsockname()[1], None)).problem == "connection refused"


def test_cancelled_probes_are_not_answered(
    poller: Poller,
    pair,
    open_fds: Callable[[], int],
) -> None:
    with serving(silent) as port:
        probes = Probes(poller)
        before = open_fds()
        for _ in range(3):
            assert probes.begin(probe(port, pair.sha256, timeout_s=0.1)) == []
        assert open_fds() > before
        probes.cancel()
        assert poller.deadline() is None
        assert list(poller.wait(0.2)) == []


@pytest.mark.slow
def test_two_hundred_probes_leak_nothing(poller: Poller, drive: Callable[..., list[Event]], open_fds, pair) -> None:
    probes = Probes(poller)
    with serving(answering(GOOD, pair)) as port:
        before = None
        for _ in range(200):
            (ended,) = drive(bool, probes.begin(probe(port, pair.sha256)))
            assert isinstance(ended, ProbeEnded)
            assert ended.problem is None
            gc.collect()
            before = before or open_fds()
    assert open_fds() <= before + 1  # the server's side of the last one


def test_the_probes_context_trusts_nobody(poller: Poller) -> None:
    assert Probes(poller)._context.cert_store_stats()["x509"] == 0  # noqa: SLF001 - the trust store is what costs
    assert ssl.HAS_SNI
