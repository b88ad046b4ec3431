"""Connections that keep the server waiting: it lets go of them, and goes on serving whoever has a login."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import selectors
import socket
import ssl
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from edge.server.conftest import TOKEN
from support.network import no_trust
from support.waiting import eventually

QUICK = {"handshake_s": 2.0, "header_s": 2.0, "keep_alive_s": 2.0, "body_window_s": 2.0, "unread_s": 2.0}
GUARD_S = 60.0
"""No wait of these tests takes so long, on a machine that does much else."""

SILENT = b""
SLOW_HEADER = b"GET /api HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
SLOW_BODY = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx"


def client_hello() -> bytes:
    """The first flight of a handshake that is never finished."""
    out = ssl.MemoryBIO()
    half = no_trust().wrap_bio(ssl.MemoryBIO(), out)
    with contextlib.suppress(ssl.SSLWantReadError):
        half.do_handshake()
    return out.read()


class Crowd:
    """Many connections to one port, and which of them the server has closed."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.selector = selectors.DefaultSelector()
        self.open: dict[int, socket.socket] = {}
        self.closed_after: list[float] = []
        self.began: dict[int, float] = {}

    def send(self, first: bytes, count: int, *, tls: bool) -> None:
        context = no_trust()
        for _ in range(count):
            raw = socket.create_connection(("127.0.0.1", self.port), timeout=GUARD_S)
            one = context.wrap_socket(raw) if tls else raw
            one.sendall(first)
            one.settimeout(0)
            self.open[one.fileno()] = one
            self.began[one.fileno()] = time.monotonic()
            self.selector.register(one, selectors.EVENT_READ)

    def watch(self, timeout_s: float) -> None:
        for key, _ in self.selector.select(timeout_s):
            try:
                while self.open[key.fd].recv(65536):
                    pass
            except (BlockingIOError, ssl.SSLWantReadError):
                continue
            except OSError:
                pass  # reset: closed all the same
            self.selector.unregister(key.fileobj)
            self.open.pop(key.fd).close()
            self.closed_after.append(time.monotonic() - self.began.pop(key.fd))

    def watch_until(self, over: Callable[[], bool]) -> None:
        until = time.monotonic() + GUARD_S
        while not over():
            assert time.monotonic() < until, f"{len(self.open)} are still open"
            self.watch(0.1)

    def close(self) -> None:
        for each in self.open.values():
            each.close()
        self.selector.close()


@pytest.fixture
def crowd() -> Iterator[Callable[[int], Crowd]]:
    made: list[Crowd] = []

    def make(port: int) -> Crowd:
        made.append(Crowd(port))
        return made[-1]

    yield make
    for each in made:
        each.close()


def ask(served) -> float:
    """Seconds of a logged-in request on a connection of its own."""
    began = time.monotonic()
    answer = served.browser().get("/api/contents?content=0", Authorization=f"token {TOKEN}")
    assert answer.status == 200
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("first", "tls"),
    [(SILENT, False), (None, False), (SILENT, True), (SLOW_HEADER, True), (SLOW_BODY, True)],
    ids=["silent", "half a handshake", "silent after it", "header", "body"],
)
def test_slow_ones_are_closed_and_a_login_is_served_meanwhile(serve_limited, crowd, first, tls):
    served = serve_limited(**QUICK)
    slow = crowd(served.port)
    slow.send(client_hello() if first is None else first, 100, tls=tls)
    while slow.open:
        slow.watch(0.1)
        ask(served)
        assert max(time.monotonic() - each for each in slow.began.values() or [time.monotonic()]) < GUARD_S
    assert min(slow.closed_after) > 1
    assert len(served.output().encode()) < 10_000


@pytest.mark.parametrize("first", [SILENT, SLOW_HEADER, SLOW_BODY], ids=["silent", "header", "body"])
def test_over_plain_http_too(serve_limited, crowd, first):
    served = serve_limited(tls=False, **QUICK)
    slow = crowd(served.port)
    slow.send(first, 100, tls=False)
    slow.watch_until(lambda: not slow.open)
    ask(served)


def test_an_idle_connection_without_a_login_goes_and_one_with_it_stays(serve_limited):
    served = serve_limited(**QUICK)
    stranger, known = served.browser().connect(), served.browser().connect()
    stranger.request("GET", "/api")
    assert stranger.getresponse().read()
    for _ in range(2):
        known.request("GET", "/api/contents?content=0", headers={"Authorization": f"token {TOKEN}"})
        answer = known.getresponse()
        assert answer.status == 200 and answer.read()
        if _ == 0:
            assert stranger.sock.recv(1) == b""  # closed after 2 s
            time.sleep(1)
    known.close()
    stranger.close()


def test_a_slow_line_brings_a_big_notebook(serve_limited):
    """4 KiB each 0.3 s, for three times as long as a body may stand still."""
    served = serve_limited(**QUICK)
    text = "x" * 90_000
    body = json.dumps({"type": "file", "format": "text", "content": text}).encode()
    connection = served.browser().connect()
    connection.putrequest("PUT", "/api/contents/slow.txt")
    connection.putheader("Authorization", f"token {TOKEN}")
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    for at in range(0, len(body), 4096):
        connection.send(body[at : at + 4096])
        time.sleep(0.3)
    answer = connection.getresponse()
    assert answer.status == 201, answer.read()
    connection.close()
    assert (served.home / "slow.txt").read_text() == text


def test_the_oldest_silent_ones_make_room(serve_limited, crowd):
    served = serve_limited(connections_max=64)
    slow = crowd(served.port)
    slow.send(SILENT, 300, tls=False)
    slow.watch_until(lambda: len(slow.closed_after) >= 200)
    for _ in range(5):
        ask(served)
    assert served.output().count("more than 64 connections") == 1
    slow.watch(0.1)
    assert len(slow.open) > 32


def test_it_goes_on_when_descriptors_run_out(serve_limited, crowd):
    served = serve_limited()
    process = served.process.pid
    used = len(list(Path(f"/proc/{process}/fd").iterdir()))
    drop = {"user": served.account.uid, "group": served.account.gid} if os.geteuid() == 0 else {}
    subprocess.run(["prlimit", "--pid", str(process), f"--nofile={used + 40}:"], check=True, **drop)
    slow = crowd(served.port)
    slow.send(SILENT, 300, tls=False)
    cpu = cpu_seconds(process)
    for _ in range(5):
        ask(served)
        slow.watch(0.2)
    assert cpu_seconds(process) - cpu < 3
    assert served.output().count("no connection can be accepted now") == 1
    assert len(served.output().encode()) < 10_000
    slow.close()
    slow.open.clear()
    ask(served)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def open_files(pid: int) -> tuple[int, int]:
    """Soft and hard limit."""
    for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
        if line.startswith("Max open files"):
            soft, hard = line.split()[3:5]
            return int(soft), int(hard)
    raise AssertionError("no such line")


def test_shells_and_kernels_have_the_limit_that_was(serve_limited, place):
    """The server raises its own to the hard one."""
    spec = place / "home" / ".local/share/jupyter/kernels/silent"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(
        json.dumps({"argv": ["/bin/sleep", "60"], "display_name": "Silent", "language": "x"})
    )
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1000, hard))
    try:
        served = serve_limited()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    served.own(place / "home")
    assert open_files(served.process.pid) == (min(hard, 65536), hard)
    browser = served.browser()
    for path, body in (("/api/terminals", ""), ("/api/kernels", json.dumps({"name": "silent"}))):
        assert browser.request("POST", path, body, Authorization=f"token {TOKEN}").status in (200, 201)
    (record,) = served.paths.kernel_records.glob("*.pid")
    (terminal,) = eventually(lambda: list(served.paths.terminal_records.glob("*.pid")), "a terminal's record")
    for each in (record, terminal):
        assert open_files(json.loads(each.read_text())["pid"]) == (1000, hard)
    kernel = record.stem
    for each in (f"/api/kernels/{kernel}", "/api/terminals/1"):
        assert browser.request("DELETE", each, Authorization=f"token {TOKEN}").status == 204


@pytest.mark.slow
def test_a_thousand_slow_ones_do_not_keep_a_login_waiting(serve_limited, crowd):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2500:
        pytest.skip(f"no 2500 descriptors here: the hard limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2500), hard))
    served = serve_limited()
    log = len(served.output().encode())
    slow = crowd(served.port)
    for first, tls in ((SILENT, False), (client_hello(), False), (SLOW_HEADER, True), (SLOW_BODY, True)):
        slow.send(first, 250, tls=tls)
        slow.watch(0)
    took = []
    until = time.monotonic() + 2 * GUARD_S
    while slow.open and time.monotonic() < until:
        took.append(ask(served))
        slow.watch(0.1)
    assert not slow.open
    assert max(slow.closed_after) < GUARD_S
    assert len(served.output().encode()) - log < 1_000_000
    assert statistics.median(took) < GUARD_S / 2  # a guard against a hang: bench/load has the figures
