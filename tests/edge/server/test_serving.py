"""The server on inherited sockets: it serves, says what it must on the channel, and leaves when told."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import select
import signal
import socket
import ssl
import threading
from pathlib import Path

import pytest
from support.network import no_trust
from support.waiting import eventually
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from jupyterd.protocol import server_channel

TOKEN = "a-lasting-token-0123456789"


def test_serves_over_tls_and_leaves_on_sigterm(serve):
    served = serve()
    assert served.browser().get("/api").status == 200
    assert served.end() == 0


def test_serves_plain_http_when_told_so(serve):
    served = serve(tls=False)
    assert served.browser().get("/api").status == 200
    assert served.end() == 0


def test_leaves_when_the_supervisor_is_gone(serve):
    served = serve()
    served.link.close()
    assert served.process.wait(10) == 0


def test_sigint_and_sighup_are_the_supervisors_business(serve):
    served = serve()
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGINT):
        served.process.send_signal(number)
    for _ in range(3):  # the signals are there before the requests, and so are handled first
        assert served.browser().get("/api").status == 200


def test_sigterm_before_it_serves_ends_it_at_once(prepare):
    served = prepare().start(wait=False)
    maps = Path(f"/proc/{served.process.pid}/maps")
    eventually(lambda: "/_ssl." in maps.read_text(), "it is in the middle of its imports")
    assert served.end() in (0, -signal.SIGTERM)


def test_sigusr1_shows_where_every_thread_is(serve):
    served = serve()
    served.process.send_signal(signal.SIGUSR1)
    eventually(lambda: "most recent call first" in served.output())
    assert served.browser().get("/api").status == 200


def test_base_url_prefixes_every_path(serve):
    served = serve(server={"base_url": "/lab1/"})
    browser = served.browser()
    assert browser.get("/lab1/api").status == 200
    elsewhere = browser.get("/api")
    assert (elsewhere.status, elsewhere.headers["Location"].partition("?")[0]) == (302, "/lab1/login")
    assert browser.get("/lab1/tree").headers["Location"].startswith("/lab1/login?next=")


@pytest.mark.parametrize("lab", [True, False])
def test_lab_is_a_setting(serve, lab):
    served = serve(server={"lab": lab}, login={"token": TOKEN})
    browser = served.browser()
    assert browser.get("/lab", Authorization=f"token {TOKEN}").status == (200 if lab else 302)
    assert browser.get("/tree", Authorization=f"token {TOKEN}").status == 200
    assert browser.get("/api/terminals", Authorization=f"token {TOKEN}").status == 200


def test_hidden_files_are_a_setting(serve):
    for hidden, expected in ((False, 404), (True, 200)):
        served = serve(server={"hidden_files": hidden}, login={"token": TOKEN})
        secret = served.home / ".hidden.txt"
        secret.write_text("x")
        served.own(secret)
        answer = served.browser().get("/api/contents/.hidden.txt", Authorization=f"token {TOKEN}")
        assert answer.status == expected
        served.end()


def test_foreign_host_names_are_turned_away_on_every_path(serve):
    served = serve(names=("gpu.lan", "*.example.org"))
    browser = served.browser()
    for host, status in (
        ("localhost", 200), ("GPU.lan:8888", 200), ("192.168.1.7", 200), ("[::1]:1", 200), ("lab.localhost", 200),
        ("lab.example.org", 200), ("a.b.example.org", 403), ("evil.example", 403), ("", 403),
        ("gpu.lan.evil.example", 403),
    ):  # fmt: skip
        assert browser.get("/api", Host=host).status == status, host
    answer = browser.get("/static/favicon.ico", Host="evil.example")
    assert answer.status == 403
    assert '"evil.example"' in answer.text
    assert "names" in answer.text


def test_plain_http_on_the_tls_port_is_pointed_to_https(serve):
    served = serve()
    browser = served.browser()
    browser.tls = False
    answer = browser.get("/tree?x=1", Host=f"localhost:{served.port}")
    assert (answer.status, answer.headers["Location"]) == (307, f"https://localhost:{served.port}/tree?x=1")
    assert browser.request("POST", "/login", "x").status == 400


def test_tls_is_modern_and_sessions_resume(serve):
    served = serve()
    old = no_trust()
    old.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", served.port)) as raw, pytest.raises(ssl.SSLError):
        old.wrap_socket(raw)
    context = no_trust()
    session, reused = None, []
    for _ in range(2):
        raw = socket.create_connection(("127.0.0.1", served.port))
        with context.wrap_socket(raw, session=session) as secure:
            secure.sendall(b"GET /api HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            while secure.recv(4096):
                pass
            session = secure.session
            reused.append(secure.session_reused)
    assert reused == [False, True]


def test_a_request_under_way_is_answered_before_it_leaves(serve, place):
    served = serve(login={"token": TOKEN})
    fifo = place / "home" / "slow.txt"
    fifo.write_text("x" * 8_000_000)
    served.own(fifo)
    connection = served.browser().connect()
    connection.request("GET", "/api/contents/slow.txt", headers={"Authorization": f"token {TOKEN}"})
    assert select.select([connection.sock], [], [], 60)[0]  # all of it is ready, and waits for a reader
    own = Path(f"/proc/self/fd/{served.listener.fileno()}").readlink()
    listens = lambda: own in [each.readlink() for each in Path(f"/proc/{served.process.pid}/fd").iterdir()]  # noqa: E731
    assert listens()
    served.process.send_signal(signal.SIGTERM)
    eventually(lambda: not listens(), "it has begun to leave")
    answer = connection.getresponse()
    assert answer.status == 200
    assert len(json.loads(answer.read())["content"]) == 8_000_000
    connection.close()
    assert served.process.wait(10) == 0


def test_the_next_server_answers_what_waited_in_the_socket(serve):
    served = serve()
    served.end()
    waiting = socket.create_connection(("127.0.0.1", served.port))
    served.start()
    with no_trust().wrap_socket(waiting) as secure:
        secure.sendall(b"GET /api HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert secure.recv(4096).startswith(b"HTTP/1.1 200")


def test_kernels_are_counted_and_survive(serve, place):
    """The kernel is a shell script that never answers: it is there, and not known to be idle."""
    spec = place / "home" / ".local/share/jupyter/kernels/silent"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(
        json.dumps({"argv": ["/bin/sleep", "60"], "display_name": "Silent", "language": "x"})
    )
    served = serve(login={"token": TOKEN})
    served.own(place / "home")
    browser = served.browser()
    body = json.dumps({"name": "silent"})
    answer = browser.request("POST", "/api/kernels", body, Authorization=f"token {TOKEN}")
    assert answer.status == 201, answer.text
    assert served.hear(server_channel.KernelCounts) == server_channel.KernelCounts(total=0, busy=0)
    assert served.hear(server_channel.KernelCounts) == server_channel.KernelCounts(total=1, busy=1)
    kernel = json.loads(answer.text)["id"]
    served.end()
    served.start()
    assert served.hear(server_channel.KernelCounts) == server_channel.KernelCounts(total=1, busy=1)
    assert [each["id"] for each in json.loads(browser.get("/api/kernels", Authorization=f"token {TOKEN}").text)] == [
        kernel
    ]
    assert browser.request("DELETE", f"/api/kernels/{kernel}", Authorization=f"token {TOKEN}").status == 204
    assert served.hear(server_channel.KernelCounts) == server_channel.KernelCounts(total=0, busy=0)


def test_nothing_secret_in_output_argv_environment_or_files_of_others(serve):
    hashed = "argon2:$argon2id$v=19$m=10240,t=10,p=8$c2FsdHNhbHQ$c2VjcmV0LWhhc2g"
    served = serve(login={"token": TOKEN, "password_hash": hashed})
    browser = served.browser()
    browser.get(f"/tree?token={TOKEN}")
    browser.get(f"/nowhere?token={TOKEN}")
    guesser = served.browser()
    guesser.login("a-wrong-password")
    process = Path("/proc", str(served.process.pid))
    seen = served.output() + (process / "cmdline").read_text() + (process / "environ").read_text()
    seen += served.paths.traits.read_text()
    for secret in (TOKEN, "c2VjcmV0LWhhc2g", "a-wrong-password", *browser.cookies.values(), *guesser.cookies.values()):
        assert secret not in seen
    for root in (served.paths.state, served.paths.runtime):
        for path in root.rglob("*"):
            assert path.is_socket() or not path.lstat().st_mode & 0o077 or path.is_dir() or "kernels" in path.parts, (
                path
            )
        assert not list(root.rglob("jpserver-*"))
    assert "JUPYTERD_CHANNEL_FD" in command_variables(served)


def command_variables(served) -> str:
    """/proc shows the environment as it was given; what matters is what a child gets."""
    browser, authorization = served.browser(), f"token {TOKEN}"
    answer = browser.request("POST", "/api/terminals", "", Authorization=authorization)
    assert answer.status == 200, answer.text

    def environment() -> str:
        (record,) = served.paths.terminal_records.glob("*.pid")
        found = Path(f"/proc/{json.loads(record.read_text())['pid']}/environ").read_text()
        return found if "PYXTERM_DIMENSIONS" in found else ""  # before that it is the launcher's wrapper

    shell = eventually(environment, "a terminal runs")
    names = [each.partition("=")[0] for each in shell.split("\0") if each]
    assert not [each for each in names if each.startswith(("JUPYTER", "NOTIFY", "LISTEN", "VIRTUAL_ENV"))], names
    assert {"HOME", "PATH", "SHELL", "USER", "TERM"} <= set(names)
    return Path(f"/proc/{served.process.pid}/environ").read_text()


def test_journal_lines_carry_their_level_and_no_time(serve):
    served = serve(mode="user", login={"token": TOKEN})
    served.browser().get("/nowhere", Authorization=f"token {TOKEN}")
    eventually(lambda: "404 GET" in served.output(), "it is logged, after the answer")
    lines = served.output().splitlines()
    assert all(line[0] == "<" and line[2] == ">" for line in lines), lines
    assert any(line.startswith("<4>404 GET /nowhere") for line in lines), lines


def _answer(served, path: str, **headers: str) -> list:
    """The first message of a websocket; HTTPClientError when it is refused."""

    async def talk() -> list:
        request = HTTPRequest(f"wss://127.0.0.1:{served.port}{path}", headers=headers, ssl_options=no_trust())
        connection = await asyncio.wait_for(websocket_connect(request), 10)
        message = await asyncio.wait_for(connection.read_message(), 10)
        connection.close()
        while await asyncio.wait_for(connection.read_message(), 10) is not None:
            pass  # until it is closed on both sides
        return json.loads(message)

    return asyncio.run(talk())


def test_websockets_pass_and_foreign_pages_do_not(serve):
    served = serve(login={"token": TOKEN})
    browser = served.browser()
    assert browser.request("POST", "/api/terminals", "", Authorization=f"token {TOKEN}").status == 200
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    path = "/terminals/websocket/1"
    assert _answer(served, path, Cookie=cookies)[0] == "setup"
    with pytest.raises(HTTPClientError, match="403"):
        _answer(served, path, Cookie=cookies, Origin="https://evil.example")
    with pytest.raises(HTTPClientError, match="403"):
        _answer(served, path)
    assert served.end() == 0  # open websockets and shells hold nobody up


def test_a_shutdown_by_the_api_is_an_ordinary_leave(serve):
    served = serve(login={"token": TOKEN})
    connection = served.browser().connect()
    connection.request("POST", "/api/shutdown", headers={"Authorization": f"token {TOKEN}"})
    assert served.process.wait(10) == 0
    connection.close()


def test_saved_files_have_the_accounts_umask(serve):
    served = serve(login={"token": TOKEN})
    body = json.dumps({"type": "file", "format": "text", "content": "x"})
    assert served.browser().request("PUT", "/api/contents/a.txt", body, Authorization=f"token {TOKEN}").status == 201
    umask = int(re.search(r"^Umask:\s*(\d+)$", Path("/proc/self/status").read_text(), re.MULTILINE)[1], 8)
    assert (served.home / "a.txt").stat().st_mode & 0o777 == 0o666 & ~umask


def test_no_request_fails_while_servers_change(serve):
    served = serve()
    done, over, failed = [0] * 4, threading.Event(), []

    def hammer(number: int) -> None:
        browser = served.browser()
        while not over.is_set():
            try:
                assert browser.get("/api").status == 200
                done[number] += 1
            except (OSError, http.client.HTTPException, AssertionError) as error:
                failed.append(repr(error))

    clients = [threading.Thread(target=hammer, args=(number,)) for number in range(4)]
    for each in clients:
        each.start()
    for _ in range(3):
        before = list(done)
        eventually(lambda before=before: all(now > then for now, then in zip(done, before, strict=True)), "all ask")
        assert served.end() == 0
        served.start()
    eventually(lambda: min(done) > 10, "enough requests to mean something")
    over.set()
    for each in clients:
        each.join(30)
    assert failed == []
