"""Logging in over real HTTP: the one-time token, the password that it sets, the lasting token, and what is refused."""

from __future__ import annotations

import contextlib
import json
import os
import re
import ssl
import threading
from functools import partial
from urllib.parse import urlencode

import pytest
from jupyter_server.auth.security import passwd
from support.network import websocket

from jupyterd.settings import login_store

LASTING = "a-lasting-token-0123456789"
CHOSEN = {"new_password": "correct horse", "new_password_again": "correct horse"}


def as_account(served, work) -> str:
    """What `work` returns in a process of the server's account, as the verbs run."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if os.geteuid() == 0:
                os.setgid(served.account.gid)
                os.setuid(served.account.uid)
            os.write(write, work().encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    with os.fdopen(read) as pipe:
        found = pipe.read()
    assert found
    return found


@pytest.fixture
def issue():
    """issue(served) -> a one-time token, as the verb makes it."""
    return lambda served: as_account(served, lambda: login_store.issue_token(served.paths.login))


def _problem(answer) -> str:
    found = re.search(r'role="alert">([^<]+)<', answer.text)
    assert found, answer.text
    return found[1]


def test_the_one_time_token_works_once(serve, issue):
    served = serve()
    token = issue(served)
    first, second = served.browser(), served.browser()
    answer = first.login(token, **CHOSEN)
    assert (answer.status, answer.headers["Location"]) == (302, "/tree")
    assert first.logged_in()
    answer = second.login(token)
    assert answer.status == 401
    assert "already been used" in _problem(answer)
    assert "jupyterd token" in _problem(answer)
    assert not second.logged_in()
    assert token not in served.output()
    assert token not in served.paths.login.read_text()


def test_the_one_time_token_is_good_for_nothing_but_the_form(serve, issue):
    served = serve()
    token = issue(served)
    assert served.browser().get(f"/api/contents?token={token}").status == 403
    assert served.browser().get("/api/contents", Authorization=f"token {token}").status == 403
    assert served.browser().login("").status == 401
    assert served.browser().get(f"/login?password={token}").status == 200
    assert served.browser().login(token, **CHOSEN).status == 302


def test_a_program_with_the_one_time_link_is_told_what_to_type(serve, issue):
    served = serve()
    token = issue(served)
    for ask in ({"Authorization": f"token {token}"}, {"Authorization": f"Bearer {token}"}):
        answer = served.browser().get("/api/contents", **ask)
        assert answer.status == 403 and "jupyterd token --lasting" in answer.text
    answer = served.browser().get(f"/api/kernels?token={token}")
    assert answer.status == 403 and "jupyterd token --lasting" in json.loads(answer.text)["message"]
    assert served.browser().login(token, **CHOSEN).status == 302


def test_a_lasting_token_of_the_command_lasts_until_it_is_revoked(serve):
    served = serve()
    editor, script = (
        as_account(served, partial(login_store.add_lasting, served.paths.login, name)) for name in ("editor", "script")
    )
    for ask in ({"Authorization": f"token {editor}"}, {"Authorization": f"Bearer {editor}"}):
        assert served.browser().get("/api/contents", **ask).status == 200
    assert served.browser().get(f"/api/contents?token={script}").status == 200
    assert served.browser().get("/api/contents", Authorization="token wrong").status == 403
    browser, other = served.browser(), served.browser()
    assert browser.login(editor).status == 302 and other.login(script).status == 302
    served.end()
    served.start()
    assert browser.logged_in() and other.logged_in(), "they outlive the server"
    text = served.paths.login.read_text()
    assert editor not in text and script not in text and "editor" in text
    assert len(json.loads((served.paths.state / "token-uses.json").read_text())) == 2
    with websocket(served.port, "/api/events/subscribe", browser.cookies, "127.0.0.1") as open_one:
        as_account(served, lambda: str(login_store.revoke_lasting(served.paths.login, "editor")))
        open_one.settimeout(60)
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while open_one.recv(4096):
                pass  # until it is closed
    assert not browser.logged_in() and other.logged_in()
    assert served.browser().get("/api/contents", Authorization=f"token {editor}").status == 403
    assert served.browser().get("/api/contents", Authorization=f"token {script}").status == 200
    assert editor not in served.output()


def test_a_password_is_set_with_it_and_outlives_restarts(serve, issue):
    served = serve()
    token = issue(served)
    browser = served.browser()
    assert browser.login(token, new_password="correct horse", new_password_again="correct horse").status == 302
    assert browser.logged_in()
    assert served.browser().login("wrong").status == 401
    assert served.browser().login("correct horse").status == 302
    assert served.paths.login.stat().st_mode & 0o777 == 0o600
    served.end()
    served.start()
    assert browser.logged_in()
    assert served.browser().login("correct horse").status == 302
    assert "correct horse" not in served.output()


@pytest.mark.parametrize(
    ("new", "again", "problem"),
    [
        ("one", "two", "differ"),
        ("correct horse", "", "differ"),
        ("", "", "choose a password of at least 8 characters"),
        ("short", "short", "at least 8 characters"),
        ("x" * 1025, "x" * 1025, "1024 characters"),
    ],
)
def test_a_wrong_turn_leaves_the_token_alive_and_in_its_field(serve, issue, new, again, problem):
    served = serve()
    token = issue(served)
    answer = served.browser().login(token, new_password=new, new_password_again=again)
    assert answer.status == 401
    assert problem in _problem(answer)
    assert f'value="{token}"' in answer.text
    assert 'name="new_password"' in answer.text and "At least 8 characters" in answer.text
    assert served.browser().login(token, **CHOSEN).status == 302


def test_beside_a_password_the_token_alone_logs_in(serve, issue):
    served = serve()
    assert served.browser().login(issue(served), **CHOSEN).status == 302
    assert served.browser().login(issue(served)).status == 302


def test_a_forbidden_change_leaves_the_token_alive(serve, issue):
    served = serve(login={"allow_password_change": False})
    token = issue(served)
    assert 'id="new_password"' not in served.browser().get("/login").text
    answer = served.browser().login(token, new_password="one", new_password_again="one")
    assert answer.status == 401
    assert "allow_password_change" in _problem(answer)
    assert served.browser().login(token).status == 302


def test_the_password_of_the_settings_wins(serve, issue):
    served = serve()
    token = issue(served)
    browser = served.browser()
    assert browser.login(token, new_password="from browser", new_password_again="from browser").status == 302
    assert served.reload(login={"password_hash": passwd("from settings")}).problem is None
    assert not browser.logged_in()  # another password ends what was given under the old one
    assert served.browser().login("from browser").status == 401
    assert served.browser().login("from settings").status == 302
    answer = served.browser().login(issue(served), new_password="x", new_password_again="x")
    assert "password_hash" in _problem(answer)


def test_a_new_password_needs_a_one_time_token(serve):
    served = serve(login={"token": LASTING})
    answer = served.browser().login(LASTING, new_password="x", new_password_again="x")
    assert answer.status == 401
    assert served.browser().login(LASTING).status == 302


def test_the_lasting_token_works_in_header_and_address(serve):
    served = serve(login={"token": LASTING})
    for scheme in ("token", "Bearer"):
        assert served.browser().get("/api/contents", Authorization=f"{scheme} {LASTING}").status == 200
    assert served.browser().get(f"/api/contents?token={LASTING}").status == 200
    for wrong in ("", "x", LASTING + "x", "Ünïcode"):
        assert served.browser().request("GET", "/api/contents", Authorization=f"token {wrong}").status == 403
    page = served.browser().get("/tree", Authorization=f"token {LASTING}")
    assert LASTING not in page.text


def test_a_form_from_elsewhere_is_refused(serve, issue):
    served = serve()
    token = issue(served)
    browser = served.browser()
    browser.get("/login")
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    assert browser.request("POST", "/login", f"password={token}", **form).status == 403
    assert served.browser().login(token, **CHOSEN).status == 302


def test_guesses_do_not_hold_up_the_others(serve):
    served = serve(login={"password_hash": passwd("right")})
    guessers = [threading.Thread(target=served.browser().login, args=("wrong",)) for _ in range(6)]
    for each in guessers:
        each.start()
    answered = 0
    while any(each.is_alive() for each in guessers):
        assert served.browser().get("/api").status == 200
        answered += 1
    assert answered > len(guessers), f"{answered}: the hash of a password holds everybody up"


def test_the_page_says_what_to_do_and_loads_nothing_from_elsewhere(serve, issue):
    served = serve()
    page = served.browser().get("/login")
    assert "jupyterd token" in page.text
    issue(served)
    page = served.browser().get("/login")
    assert "First login" in page.text
    nonce = re.search(r'script nonce="([^"]+)"', page.text)[1]
    policy = page.headers["Content-Security-Policy"]
    assert f"script-src 'nonce-{nonce}'" in policy
    assert "default-src 'none'" in policy
    assert page.headers["Cache-Control"] == "no-store"
    assert not re.findall(r'(?:src|href)="https?:', page.text)


def test_no_redirect_to_elsewhere(serve, issue):
    served = serve()
    token = issue(served)
    browser = served.browser()
    page = browser.get("/login?next=https://evil.example/")
    xsrf = re.search(r'name="_xsrf" value="([^"]+)"', page.text)[1]
    answer = browser.request(
        "POST", "/login?next=https://evil.example/", f"_xsrf={xsrf}&password={token}&{urlencode(CHOSEN)}",
        Content_Type="application/x-www-form-urlencoded",
    )  # fmt: skip
    assert (answer.status, answer.headers["Location"]) == (302, "/")


def test_cookies_are_kept_from_scripts_and_from_plain_http(serve):
    served = serve(login={"token": LASTING})
    answer = served.browser().login(LASTING)
    cookie = next(each for each in answer.headers.get_all("Set-Cookie") if each.startswith("username-"))
    assert "; Secure" in cookie
    assert "; HttpOnly" in cookie


def test_a_damaged_store_lets_nobody_in_and_is_told(serve):
    served = serve(login={"token": LASTING})
    served.paths.login.write_text(json.dumps({"format": 99}))
    served.own(served.paths.login)
    served.paths.login.chmod(0o600)
    assert served.browser().login("").status == 401
    assert served.browser().login(LASTING).status == 302
    assert "login.json was damaged" in served.output()


def test_logging_out_ends_that_login_for_good_and_no_other(serve):
    served = serve(login={"password_hash": passwd("right one"), "token": LASTING})
    one, other = served.browser(), served.browser()
    assert one.login("right one").status == other.login("right one").status == 302
    copied = served.browser()
    cookies = dict(one.cookies)
    copied.cookies = dict(cookies)
    assert copied.logged_in()
    open_ = websocket(served.port, "/api/events/subscribe", one.cookies, "127.0.0.1")
    others = websocket(served.port, "/api/events/subscribe", other.cookies, "127.0.0.1")
    elsewhere = {"Sec_Fetch_Site": "cross-site"}
    assert one.get("/logout", **elsewhere).status == 403
    assert one.get("/logout", Referer="https://evil.example/").status == 403
    assert one.logged_in()
    assert "Successfully logged out" in one.get("/logout", Sec_Fetch_Site="same-origin").text
    open_.settimeout(60)
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while open_.recv(4096):
            pass  # until it is closed
    for _ in range(2):
        copied.cookies = dict(cookies)
        assert not copied.logged_in()
        assert not one.logged_in()
        assert other.logged_in()
        copied.cookies = dict(cookies)  # a program does not mind that it is asked to forget them
        large = copied.request("PUT", "/api/contents/a", "x" * 100_000, X_XSRFToken=copied.cookies["_xsrf"])
        assert large.status == 413  # nor is it a login to the gate
        if _ == 0:
            others.close()
            open_.close()
            served.end()
            served.start()
    assert one.login("right one").status == 302
    assert one.logged_in()
    assert served.browser().get("/logout").status == 200  # of nobody
