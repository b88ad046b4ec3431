"""What somebody without a login writes into the log, gets into headers, and does through a browser of the owner's."""

from __future__ import annotations

import itertools
import re

import pytest
from edge.server.conftest import TOKEN
from edge.server.test_bodies import heard, opened, request, send
from support.waiting import eventually

RIGHT = {"Authorization": f"token {TOKEN}"}
ADDRESSES = (
    "/tree/%ff%fe", "/%ff", "/api/contents/%ff", "/files/%ff", "/static/%ff", "/view/%ff", "/terminals/websocket/%ff",
    "/tree/%0d%0aX:%20y/", "/lab/%0a", "/login?next=//[::1]/", "/login?next=/%0d%0aX:y", "/login?next=/%0ax",
    "/login?next=%ff", "/tree?%ff=%ff", "/static/%00", "//evil.example/..", "///", "/tree//", "/api//", "/%5c%5cevil/",
    "/login?" + "&".join(f"a{number}=1" for number in range(5000)), "/" + "a" * 50_000, "/logout?next=%0a", "*",
    "/tree/\x7f", "/tree/\x1b[31m", "/tree/\x9b", "http://localhost/api", "/tree/%c0%ae",
)  # fmt: skip
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW")
ODD_HEADERS = (
    "Origin: http://[", "Referer: http://[", "Cookie: username-localhost=2|1:0|10:1|x; _xsrf=\xff", "Range: bytes=9-",
    "Accept-Language: \xff,,;q", "Authorization: Bearer", 'If-None-Match: "', "X-Forwarded-For: \x80, , ::",
)  # fmt: skip


def test_whatever_strangers_send_is_no_error_of_ours_and_the_log_stays_short(serve):
    served = serve(login={"token": TOKEN}, mode="user")
    before = len(served.output())
    asked = [request(method, path, "Content-Length: 0") for method, path in itertools.product(METHODS, ADDRESSES)]
    asked += [
        request(method, "/tree", "Content-Length: 0", each) for method, each in itertools.product(METHODS, ODD_HEADERS)
    ]
    asked += [
        b"GET / HTTP/9\r\n\r\n",
        b"\x00\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ]
    for each in asked:
        with opened(served) as connection:
            send(
                connection, [each.decode().encode("latin-1").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)]
            )
            said = heard(connection)
        head = said.partition(b"\r\n\r\n")[0]
        assert re.match(rb"HTTP/1.1 [234]\d\d ", said), (each[:300], said[:300])
        assert b"\n" not in head.replace(b"\r\n", b"") and b"\nX:" not in head, (each[:300], head)
    wrong = served.browser().get("/api/contents?token=not-it")
    assert wrong.status == 403
    assert served.browser().get("/of-the-owner", **RIGHT).status == 404
    eventually(lambda: "404 GET /of-the-owner" in served.output(), "the owner's lines come whatever strangers do")
    log = served.output()[before:]
    assert "login failed from 127.0.0.1 (token)" in log
    lines = log.splitlines()
    assert len([each for each in lines if "login failed" not in each]) <= 62, log
    assert max(map(len, lines)) < 400
    assert all(each.isprintable() for each in lines)
    assert log.count("/tree/%ff%fe") <= len(METHODS)


UNCLEAR = (
    ("Transfer-Encoding: chunked", "Content-Length: 5"), ("Content-Length: 5", "Content-Length: 6"),
    ("Content-Length: -1",), ("Content-Length: +5",), ("Content-Length: 5, 6",), ("Content-Length: " + "9" * 5000,),
    ("Transfer-Encoding: gzip, chunked",), ("Transfer-Encoding: xchunked",), ("Content-Length: \u00b2",),
)  # fmt: skip


def test_a_request_that_could_be_taken_for_another_is_refused_with_one_answer(serve):
    """Smuggled past a proxy, sent to another site by a redirect, or by a Host that is none."""
    served = serve(login={"token": TOKEN})
    hidden = b"0\r\n\r\nGET /api HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for lines in UNCLEAR:
        for own in ((), (f"Authorization: token {TOKEN}",)):
            with opened(served) as connection:
                send(connection, [request("POST", "/api/sessions", *lines, *own).decode().encode("latin-1") + hidden])
                said = heard(connection)
            assert said.startswith(b"HTTP/1.1 400 ") and said.count(b"HTTP/1.1") == 1, (lines, said)
    for path in ("/\\evil.example/", "/\\\\evil.example/", "\\evil.example/", "/tree\\/"):
        with opened(served) as connection:
            send(connection, [request("GET", path, "Connection: close")])
            said = heard(connection)
        assert said.startswith(b"HTTP/1.1 400 ") and b"evil" not in said, (path, said)
    for host, status in (("[::1]", b"200"), ("[::1]:1", b"200"), ("[::1]evil", b"403"), ("[::1]:1evil", b"403")):
        with opened(served) as connection:
            whole = request("GET", "/api", "Connection: close")
            connection.sendall(whole.replace(b"Host: localhost", f"Host: {host}".encode()))
            assert heard(connection).split()[1] == status, host


@pytest.fixture
def owner(serve):
    """(the server, a browser with a login, its cookies as a header)"""
    served = serve(login={"token": TOKEN})
    browser = served.browser()
    assert browser.login(TOKEN).status == 302
    return served, browser, "; ".join(f"{name}={value}" for name, value in browser.cookies.items())


def test_a_page_over_plain_http_from_the_same_host_and_port_is_a_foreign_page(owner):
    served, browser, cookies = owner
    host = f"127.0.0.1:{served.port}"
    made = browser.request(
        "POST", "/api/terminals", "{}", X_XSRFToken=browser.cookies["_xsrf"], Origin=f"https://{host}"
    )
    assert made.status == 200, made.text
    upgrade = (
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==",
    )
    asked = [
        ("GET", "/terminals/websocket/1", upgrade, b"101"), ("GET", "/api/events/subscribe", upgrade, b"101"),
        ("GET", "/api/kernels/6c8a4f0e-0000-4000-8000-000000000000/channels", upgrade, b"404"),
        ("POST", "/api/terminals", ("Content-Length: 0", f"X-XSRFToken: {browser.cookies['_xsrf']}"), b"200"),
        ("GET", "/api/contents?content=0", (), b"200"),
    ]  # fmt: skip
    for method, path, lines, status in asked:
        for origin, expected in (
            (f"https://{host}", status), (f"http://{host}", b"403"), (f"HTTP://{host}", b"403"),
        ):  # fmt: skip
            with opened(served) as connection:
                whole = request(method, path, *lines, f"Origin: {origin}", f"Cookie: {cookies}")
                connection.sendall(whole.replace(b"Host: localhost", b"Host: " + host.encode()))
                assert heard(connection, b"\r\n\r\n").split()[1] == expected, (method, path, origin)
    files = browser.request("PUT", "/api/contents/a.txt", '{"type": "file", "format": "text", "content": "x"}', **RIGHT)
    assert files.status == 201
    for scheme, expected in (("https", 200), ("http", 403)):
        assert browser.get("/files/a.txt", Referer=f"{scheme}://{host}/tree").status == expected


def test_the_cookies_are_for_this_site_and_for_tls_only(owner):
    _, browser, _ = owner
    fresh = type(browser)(browser.port, tls=True)
    set_ = fresh.get("/login").headers.get_all("Set-Cookie")
    set_ += fresh.login(TOKEN).headers.get_all("Set-Cookie")
    assert [each.partition("=")[0].partition("-")[0] for each in set_] == ["_xsrf", "username", "known"]
    for each in set_:
        assert each.count("Secure") == 1
        assert re.search("SameSite=(Lax|Strict)", each), each
    assert "HttpOnly" in set_[1] and "HttpOnly" in set_[2]


@pytest.mark.parametrize("next_", ["//[::1]/", "http://[/", "/%0d%0aX:y", "/%0ax", "%0a//evil", "/%00", "/%7f"])
def test_an_address_that_cannot_be_gone_to_is_refused_before_the_login_counts(owner, next_):
    served, browser, _ = owner
    assert browser.get(f"/login?next={next_}").status == 400
    stranger = served.browser()
    stranger.get("/login")
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    body = f"_xsrf={stranger.cookies['_xsrf']}&password={TOKEN}"
    for path, text in ((f"/login?next={next_}", body), ("/login", f"{body}&next={next_}")):
        assert stranger.request("POST", path, text, **form).status == 400
    assert not stranger.logged_in()
