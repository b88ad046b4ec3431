"""What somebody without a login can make the server keep in memory: little. The owner's uploads work."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import itertools
import json
import re
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from edge.server.conftest import TOKEN
from support.network import no_trust
from support.waiting import eventually
from tornado import web, websocket

from jupyterd.server.http.server import BoundedHTTPServer
from jupyterd.server.http.timeouts import Limits

KIB, MIB = 1 << 10, 1 << 20
RIGHT = {"Authorization": f"token {TOKEN}"}
GUARD_S = 60.0


def opened(served) -> socket.socket:
    raw = socket.create_connection(("127.0.0.1", served.port), timeout=GUARD_S)
    return raw if served.pair is None else no_trust().wrap_socket(raw)


def send(connection: socket.socket, parts) -> None:
    with contextlib.suppress(OSError):  # it is closed while we still send: that is the point
        for each in parts:
            connection.sendall(each)


def heard(connection: socket.socket, until: bytes = b"") -> bytes:
    """All that the server says before it closes, or up to and with `until`."""
    said = b""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while (data := connection.recv(65536)) and not (until and until in said + data):
            said += data
        said += data
    return said


def request(method: str, path: str, *lines: str) -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: localhost", *lines, "", "")).encode()


def chunked(size: int, piece: int = 16 * KIB):
    for _ in range(0, size, piece):
        yield b"%x\r\n" % piece + b"x" * piece + b"\r\n"
    yield b"0\r\n\r\n"


def fixed(size: int, piece: int = 64 * KIB):
    for at in range(0, size, piece):
        yield b"x" * min(piece, size - at)


def peak_bytes(served, *, reset: bool = False) -> int:
    process = Path(f"/proc/{served.process.pid}")
    if reset:
        (process / "clear_refs").write_text("5")  # proc(5): the high-water mark begins here
    return int(re.search(r"VmHWM:\s+(\d+) kB", (process / "status").read_text())[1]) * KIB


def test_64_kib_are_enough_without_a_login(serve):
    served = serve(login={"token": TOKEN})
    paths = ("/login", "/tree", "/nowhere", "/static/x", "/api/contents/a.txt")
    for path, (body, status) in itertools.product(paths, ((64 * KIB, b"40"), (64 * KIB + 1, b"413"), (MIB, b"413"))):
        for lines, parts in (
            ([f"Content-Length: {body}"], fixed(body)),
            (["Transfer-Encoding: chunked"], chunked(body, min(body, 64 * KIB + 1))),
        ):
            with opened(served) as connection:
                send(connection, (request("POST", path, *lines, "Connection: close"), *parts))
                said = heard(connection)
            assert said.startswith(b"HTTP/1.1 " + status), (lines, said[:200])
            assert said.count(b"HTTP/1.1") == 1
        assert "64 KiB" in served.browser().request("PUT", path, "x" * 70_000).text


def test_eight_large_bodies_cost_next_to_nothing(serve):
    served = serve(login={"token": TOKEN})
    served.browser().get("/login")
    before = peak_bytes(served, reset=True)
    size = 40 * MIB

    def push(number: int) -> None:
        with opened(served) as connection:
            if number % 2:
                send(connection, (request("POST", "/any", "Transfer-Encoding: chunked"), *chunked(size)))
            else:
                send(connection, (request("POST", "/login", f"Content-Length: {size}"), *fixed(size)))

    threads = [threading.Thread(target=push, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert served.browser().get("/api").status == 200
    assert peak_bytes(served) - before < 24 * MIB  # 320 were sent


def test_what_expects_to_continue_is_refused_before_it_sends_and_there_is_no_way_round(serve):
    served = serve()
    with opened(served) as connection:
        connection.sendall(request("PUT", "/api/contents/a", "Content-Length: 300000000", "Expect: 100-continue"))
        said = heard(connection)
    assert said.startswith(b"HTTP/1.1 413")
    assert b" 100 " not in said
    assert json.loads(said.partition(b"\r\n\r\n")[2])["message"].startswith("413: Without a login")
    # The second request of a packet is no way round.
    with opened(served) as connection:
        second = request("POST", "/login", "Transfer-Encoding: chunked")
        send(connection, (request("GET", "/api") + second, *chunked(MIB)))
        said = heard(connection)
    assert re.findall(rb"HTTP/1.1 (\d+)", said) == [b"200", b"413"]
    # A compressed body stays compressed.
    before = peak_bytes(served, reset=True)
    bomb = gzip.compress(bytes(50 * MIB))
    assert len(bomb) < 64 * KIB
    lines = ("Content-Encoding: gzip", f"Content-Length: {len(bomb)}", "Connection: close")
    with opened(served) as connection:
        send(connection, (request("POST", "/login", *lines, "Content-Type: application/x-www-form-urlencoded"), bomb))
        assert heard(connection).startswith(b"HTTP/1.1 4")
    assert peak_bytes(served) - before < 24 * MIB


SMUGGLED = [
        ("Content-Length: 5", "Transfer-Encoding: chunked"), ("Content-Length: 5", "Content-Length: 6"),
        ("Content-Length: +5",), ("Content-Length: -1",), ("Content-Length: 5_0",), ("Content-Length: " + "9" * 6000,),
        ("Transfer-Encoding: chunked, chunked",), ("Transfer-Encoding: xchunked",), ("Transfer-Encoding : chunked",),
        (" Content-Length: 5",), ("Host: evil.example",), ("Content-Length: 5\n\nGET /api HTTP/1.1",),
]  # fmt: skip
"""Lines of a header that two parsers could take for different requests."""


def test_nothing_is_smuggled(serve):
    served = serve()
    for lines in SMUGGLED:
        with opened(served) as connection:
            first = request("POST", "/login", *lines)
            send(connection, [first + b"5\r\nGET /api HTTP/1.1\r\nHost: localhost\r\n\r\n"])
            said = heard(connection)
        assert set(re.findall(rb"HTTP/1.1 (\d)", said)) <= {b"4"}, (lines, said)


def test_headers_are_bounded_in_size_and_number(serve):
    served = serve()
    with opened(served) as connection:
        send(connection, [request("GET", "/api", *(f"X-{number}: 1" for number in range(126)))])
        assert heard(connection, b"version").startswith(b"HTTP/1.1 200")
    with opened(served) as connection:
        send(connection, [request("GET", "/api", *(f"X-{number}: 1" for number in range(200)))])
        assert heard(connection).startswith(b"HTTP/1.1 431")
    before = peak_bytes(served, reset=True)
    with opened(served) as connection:
        send(connection, [b"GET /api HTTP/1.1\r\n", *[b"X: " + b"x" * 16 * KIB + b"\r\n"] * 4096])  # 64 MiB
        assert b" 200 " not in heard(connection)
    assert peak_bytes(served) - before < 24 * MIB
    assert served.browser().get("/api").status == 200


def test_all_strangers_together_have_a_bound(serve_limited):
    served = serve_limited(strangers_bytes=MIB)
    half = request("POST", "/login", f"Content-Length: {60 * KIB}") + b"x" * 50 * KIB
    crowd = [opened(served) for _ in range(60)]
    for each in crowd:
        send(each, [half])

    def still_open() -> int:
        count = 0
        for each in crowd:
            each.settimeout(0)
            try:
                count += bool(each.recv(1))
            except (BlockingIOError, ssl.SSLWantReadError):
                count += 1
            except OSError:
                pass
        return count

    eventually(lambda: 0 < still_open() <= MIB // (50 * KIB), "the largest are closed")
    assert served.browser().get("/api/contents?content=0", **RIGHT).status == 200
    assert served.output().count("requests without a login hold more than 1 MiB") == 1
    for each in crowd:
        each.close()


def test_the_owner_sends_large_files(serve):
    served = serve(login={"token": TOKEN})
    browser = served.browser()
    assert browser.login(TOKEN).status == 302
    for way, shape in itertools.product(("cookie", "token", "address"), ("length", "chunked", "continue")):
        said = _upload(served, browser, way, shape)
        assert said.startswith(b"HTTP/1.1 20"), (way, shape, said[:300])
        assert (served.home / "big.txt").stat().st_size == 8 * MIB
        (served.home / "big.txt").unlink()


def _upload(served, browser, way: str, shape: str) -> bytes:
    """8 MiB, with the login in one of three places; the answer."""
    path, lines = "/api/contents/big.txt", [f"Origin: https://localhost:{served.port}"]
    if way == "cookie":
        host = f"127.0.0.1:{served.port}"
        cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        lines = [f"Cookie: {cookies}", f"X-XSRFToken: {browser.cookies['_xsrf']}"]
    else:
        host = "localhost"
        path, lines = (path, [f"Authorization: token {TOKEN}"]) if way == "token" else (f"{path}?token={TOKEN}", [])
    body = json.dumps({"type": "file", "format": "text", "content": "x" * 8 * MIB}).encode()
    lines.append("Connection: close")
    lines.append("Transfer-Encoding: chunked" if shape == "chunked" else f"Content-Length: {len(body)}")
    if shape == "continue":
        lines.append("Expect: 100-continue")
    with opened(served) as connection:
        connection.sendall(request("PUT", path, *lines).replace(b"Host: localhost", b"Host: " + host.encode()))
        if shape == "continue":
            assert heard(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        connection.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if shape == "chunked" else body)
        return heard(connection)


def test_a_large_body_does_not_tell_whether_a_token_is_right(serve):
    """It counts like any guess, and without one byte of the body."""
    served = serve(login={"token": TOKEN})

    def guess(number: int) -> bytes:
        with opened(served) as connection:
            lines = ("Content-Length: 1000000", f"Authorization: token wrong-{number}", "Expect: 100-continue")
            connection.sendall(request("PUT", "/api/contents/a", *lines))
            return heard(connection).split()[1]

    with ThreadPoolExecutor(12) as at_once:
        found = sorted(at_once.map(guess, range(12)))
    assert found == [b"403"] * 10 + [b"429"] * 2
    assert len(re.findall(r"login failed from 127\.0\.0\.1 \(token\)$", served.output(), re.MULTILINE)) == 10
    with opened(served) as connection:
        connection.sendall(
            request("PUT", "/api/contents/a", "Content-Length: 1000000", f"Authorization: token {TOKEN}")
        )
        assert heard(connection).startswith(b"HTTP/1.1 429")


class _Open(websocket.WebSocketHandler):
    """A websocket that an extension has opened to everybody."""

    def on_message(self, message: str | bytes) -> None:
        self.write_message(str(len(message)))


def test_a_stranger_sends_small_messages_only_over_a_websocket_that_is_open_to_all():
    async def talk(size: int) -> str | None:
        log = lambda handler: server.answered(handler, None)  # noqa: E731
        server = BoundedHTTPServer(web.Application([("/open", _Open)], log_function=log))
        server.limits, server.tell, server.set_origin = Limits(), lambda _: None, lambda *_: None
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(0)
        server.add_sockets([listener])
        try:
            client = await websocket.websocket_connect(f"ws://127.0.0.1:{listener.getsockname()[1]}/open")
            await client.write_message("x" * size)
            answer = await asyncio.wait_for(client.read_message(), GUARD_S)
            client.close()
            return answer
        finally:
            server.stop()
            await server.close_all_connections()

    assert asyncio.run(talk(64 * KIB)) == str(64 * KIB)
    assert asyncio.run(talk(64 * KIB + 1)) is None
