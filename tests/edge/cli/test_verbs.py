"""`run`, `status` and `token` together, as an ordinary account in a terminal of its own."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from support.network import no_trust
from support.served import START_S, Served, served
from support.waiting import eventually

UID_OF_A_STRANGER = 61235
CHOSEN = "new_password=correct+horse&new_password_again=correct+horse"


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served("--no-lab") as here:
        assert here.link
        yield here


def log_in(server: Served, token: str) -> int:
    """The status that the login form answers with."""
    asked = http.client.HTTPSConnection("localhost", server.port, timeout=30, context=no_trust())
    asked.request("GET", "/login")
    answer = asked.getresponse()
    answer.read()
    cookie = (answer.getheader("Set-Cookie") or "").partition(";")[0]
    headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
    asked.request(
        "POST", "/login", f"password={quote(token)}&{CHOSEN}&_xsrf={quote(cookie.partition('=')[2])}", headers
    )
    answer = asked.getresponse()
    answer.read()
    asked.close()
    return answer.status


def test_status_of_a_serving_server_fits_the_terminal(server: Served) -> None:
    shown = server.verb("status")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert f"https://localhost:{server.port}/" in shown.stdout
    assert "\N{ESCAPE}" not in shown.stdout
    made = server.status()
    assert made["running"] is True
    assert made["supervisor"]["pid"] == server.process.pid
    os.kill(made["server"]["pid"], 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look at another account's server")
def test_root_may_look_and_a_stranger_may_not(server: Served) -> None:
    environ = {"PATH": "/usr/bin:/bin", "JUPYTERD_STATE_DIR": str(server.home / ".local/state/jupyterd")}
    argv = [sys.executable, "-I", "-m", "jupyterd", "status"]
    root = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=30, check=False)
    assert root.returncode == 0, root.stdout
    stranger = subprocess.run(
        argv, env=environ, user=UID_OF_A_STRANGER, group=UID_OF_A_STRANGER, extra_groups=[],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert stranger.returncode == 1
    assert "sudo" in stranger.stdout


def test_a_token_logs_in_once_and_kills_the_one_before(server: Served) -> None:
    before = server.link.partition("#token=")[2]
    shown = server.verb("token")
    assert shown.returncode == 0, shown.stderr
    found = re.search(r"#token=(\S+)", shown.stdout)
    assert found
    assert log_in(server, before) == 401
    assert log_in(server, found[1]) == 302
    assert log_in(server, found[1]) == 401
    assert found[1] not in server.said
    assert before not in "".join(file.read_text() for file in (server.home / ".local/state/jupyterd").glob("*.json"))


def test_a_halted_supervisor_is_told_without_hanging(server: Served) -> None:
    server.process.send_signal(signal.SIGSTOP)
    try:
        shown = server.verb("status")  # which has a deadline
        assert shown.returncode == 1
        assert f"kill -CONT {server.process.pid}" in shown.stdout
    finally:
        server.process.send_signal(signal.SIGCONT)


def test_a_killed_supervisor_is_not_running() -> None:
    with served("--no-lab") as here:
        assert here.link
        here.process.kill()
        here.process.wait()
        shown = here.verb("status")
        assert shown.returncode == 3
        assert "unexpectedly" in shown.stdout
        assert here.verb("status", "--json").returncode == 3


def test_without_a_terminal_no_token_is_shown() -> None:
    with served("--no-lab", terminal=False) as here:
        eventually(lambda: "Jupyter is ready" in here.said, "the banner", START_S)
        assert "token=" not in here.said
        assert "jupyterd token" in here.said


def test_a_second_one_shows_where_the_first_serves(server: Served) -> None:
    second = server.verb("run", "--no-lab")
    assert second.returncode == 75
    assert f"already serving at https://localhost:{server.port}/" in second.stderr
    assert "jupyterd token" in second.stderr and "jupyterd stop" in second.stderr


def test_stop_ends_one_whose_terminal_is_gone() -> None:
    with served("--no-lab") as here:
        assert here.link
        stopped = here.verb("stop")
        assert stopped.returncode == 0, stopped.stderr
        assert here.process.wait(10) == 0
        assert here.verb("stop").returncode == 3
