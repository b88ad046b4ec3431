"""Guesses over real HTTP: how many are looked at, who is not locked out, what the log says, and who is thrown out."""

from __future__ import annotations

import json
import os
import re
import secrets
import ssl
import threading
import time

import pytest
from jupyter_server.auth.security import passwd
from support.network import websocket

from jupyterd.settings import login_store

LASTING = "a-lasting-token-0123456789"


def statuses(count: int, ask) -> list[int]:
    """Of so many at once: one after the other each would wait for the pause of the one before."""
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(ask())) for _ in range(count)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return sorted(found)


def as_account(served, function, *args) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            if os.geteuid() == 0:
                os.setgid(served.account.gid)
                os.setuid(served.account.uid)
            function(*args)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def test_ten_are_looked_at_and_the_owner_is_not_locked_out(serve):
    served = serve(login={"password_hash": passwd("right one"), "token": LASTING})
    owner, stranger = served.browser(), served.browser()
    assert owner.login("right one").status == 302
    guess = lambda: served.browser().login(f"wrong {secrets.token_hex(4)}").status  # noqa: E731
    # The line for strangers' hashes has its own end: whoever does not fit in is told so, and it does not count.
    found: list[int] = []
    while found.count(401) < 10:
        found += statuses(4, guess)
        assert len(found) < 60
    found += statuses(4, guess)
    assert found.count(401) == 10
    assert set(found) <= {401, 429, 503}
    refused = stranger.login("right one")
    assert refused.status == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert "jupyterd token" in refused.text
    assert owner.logged_in()
    del owner.cookies[next(name for name in owner.cookies if name.startswith("username-"))]
    assert not owner.logged_in()
    assert owner.login("right one").status == 302  # it logged in before
    forged = served.browser()
    name = next(name for name in owner.cookies if name.startswith("known-"))
    forged.cookies[name] = owner.cookies[name][:-4] + "0000"
    assert forged.login("right one").status == 429
    served.reload(login={"allow_password_change": True})
    log = served.output()
    assert len(re.findall(r"login failed from 127\.0\.0\.1 \(password\)$", log, re.MULTILINE)) == 10
    assert log.count("are refused for") == 1
    assert "401 POST" not in log


def test_the_one_time_token_works_while_others_guess(serve):
    served = serve(login={"password_hash": passwd("right one")})
    for _ in range(3):
        statuses(5, lambda: served.browser().login(f"wrong {secrets.token_hex(4)}").status)
    assert served.browser().login("right one").status == 429
    read, write = os.pipe()
    as_account(served, lambda: os.write(write, login_store.issue_token(served.paths.login).encode()))
    assert served.browser().login(os.read(read, 100).decode()).status == 302


def test_tokens_count_too(serve):
    served = serve(login={"token": LASTING})
    known = served.browser()
    assert known.get("/api/contents", Authorization=f"token {LASTING}").status == 200
    wrong = lambda: served.browser().get(f"/api/contents?token=wrong{secrets.token_hex(4)}").status  # noqa: E731
    assert statuses(14, wrong) == [403] * 10 + [429] * 4
    assert served.browser().get("/api/contents", Authorization=f"token {LASTING}").status == 429
    assert known.get("/api/contents", Authorization=f"token {LASTING}").status == 200  # by its cookie
    assert served.browser().get("/api").status == 200
    log = served.output()
    assert len(re.findall(r"login failed from 127\.0\.0\.1 \(token\)$", log, re.MULTILINE)) == 10
    assert "wrong" not in log


def test_a_proxy_that_is_named_is_believed(serve):
    served = serve(login={"token": LASTING, "trusted_proxies": ("127.0.0.1",)})

    def wrong() -> int:
        path = f"/api/contents?token={secrets.token_hex(4)}"
        return served.browser().get(path, X_Forwarded_For="9.9.9.9, 192.0.2.7").status

    assert 429 in statuses(12, wrong)
    right = {"Authorization": f"token {LASTING}"}
    assert served.browser().get("/api/contents", X_Forwarded_For="192.0.2.7", **right).status == 429
    assert served.browser().get("/api/contents", X_Forwarded_For="192.0.2.8", **right).status == 200
    assert "login failed from 192.0.2.7 (token)" in served.output()
    assert served.reload(login={"trusted_proxies": ()}).problem is None
    assert served.browser().get("/api/contents", X_Forwarded_For="192.0.2.7", **right).status == 200


@pytest.mark.parametrize("way", ["another process", "settings"])
def test_another_password_closes_the_websockets_of_the_old_one(serve, way):
    served = serve(login={} if way == "another process" else {"password_hash": passwd("old one")})
    if way == "another process":
        as_account(served, login_store.set_password, served.paths.login, passwd("old one"))
    old = served.browser()
    assert old.login("old one").status == 302
    xsrf = old.cookies["_xsrf"]
    made = old.request("POST", "/api/terminals", "{}", X_XSRFToken=xsrf, Origin=f"https://127.0.0.1:{served.port}")
    assert made.status == 200, made.text
    name = json.loads(made.text)["name"]
    terminal = websocket(served.port, f"/terminals/websocket/{name}", old.cookies, "127.0.0.1")
    events = websocket(served.port, "/api/events/subscribe", old.cookies, "127.0.0.1")
    time.sleep(2.5)  # longer than the watch: nothing is closed without a reason
    terminal.settimeout(0.1)
    while True:
        try:
            assert terminal.recv(4096), "it was closed"
        except TimeoutError:
            break
    if way == "another process":
        as_account(served, login_store.set_password, served.paths.login, passwd("new one"))
    else:
        assert served.reload(login={"password_hash": passwd("new one")}).problem is None
    for each in (terminal, events):
        each.settimeout(60)
        try:
            while each.recv(4096):
                pass
        except (ConnectionError, ssl.SSLError):
            pass
        each.close()
    assert not old.logged_in()
    assert served.browser().login("old one").status == 401
    fresh = served.browser()
    assert fresh.login("new one").status == 302
    websocket(served.port, f"/terminals/websocket/{name}", fresh.cookies, "127.0.0.1").close()


@pytest.mark.parametrize("path", ["/login", "/tree", "/static/favicon.ico", "/static/no"])
def test_every_answer_tells_the_browser_to_be_careful(serve, path):
    headers = serve().browser().get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"]
    assert "Strict-Transport-Security" not in headers


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("c.ServerApp.disable_check_xsrf = True", "disable_check_xsrf"),
        ("c.NotebookApp.allow_origin = '*'", "allow_origin"),
        ("c.ServerApp.tornado_settings = {'xsrf_cookies': False}", "disable_check_xsrf"),
        ("c.ServerApp.allow_unauthenticated_access = True", "allow_unauthenticated_access"),
    ],
)
def test_a_configuration_that_leaves_it_open_is_refused_unless_asked_for(prepare, line, name):
    served = prepare()
    own = served.home / "mine"
    served = prepare(server={"jupyter_config_dir": str(own)})
    own.mkdir()
    (own / "jupyter_server_config.py").write_text(line + "\n")
    served.own(served.home)
    served.start(wait=False)
    problem = served.failed()
    assert name in problem
    assert f'allow_unsafe = ["{name}"]' in problem
    served.process.wait(10)
    allowed = prepare(server={"jupyter_config_dir": str(own), "allow_unsafe": (name,)}).start()
    assert allowed.browser().get("/api").status == 200


def test_an_old_secret_tried_for_ever_is_one_guess(serve):
    """An editor with a stale token, and a form sent again and again, from the owner's own address."""
    served = serve(login={"password_hash": passwd("right one"), "token": LASTING})
    stale = lambda: served.browser().get("/api/contents", Authorization="token of-last-year-0123456789").status  # noqa: E731
    form = lambda: served.browser().login("old one").status  # noqa: E731
    assert statuses(30, stale) == [403] * 30
    assert set(statuses(20, form)) == {401}
    assert served.browser().login("right one").status == 302
    assert served.browser().get("/api/contents", Authorization=f"token {LASTING}").status == 200
    assert len(re.findall(r"login failed from 127\.0\.0\.1 \(token\)$", served.output(), re.MULTILINE)) == 1
    assert len(re.findall(r"login failed from 127\.0\.0\.1 \(password\)$", served.output(), re.MULTILINE)) == 1
    # What was wrong is right once it is made the password, and what was typed in the wrong field is no wrong password.
    assert (
        served.browser().login("right one", new_password="another one", new_password_again="another one").status == 401
    )
    assert served.browser().login("right one").status == 302
    assert served.reload(login={"password_hash": passwd("old one")}).problem is None
    assert served.browser().login("right one").status == 401
    assert served.browser().login("old one").status == 302
