"""Terminals over real websockets, as an ordinary account: what is typed, what outlives the server, what ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest
from edge.kernels.conftest import Place
from edge.kernels.conftest import place as place  # noqa: PLC0414 - a fixture is taken over by its name
from support.waiting import eventually
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from jupyterd.linux import proc

CLASS = "TerminalsExtensionApp.terminal_manager_class=jupyterd.server.terminals.manager.AccountTerminalManager"


def serve(place: Place):
    where = (f"AccountTerminalManager.{name}={place.state}/{end}" for name, end in WHERE)
    return place.serve(CLASS, *where)


WHERE = (("records_dir", "terminals"), ("sockets_dir", "t"))


@pytest.fixture(autouse=True)
def _ended(place):
    yield
    for file in (place.state / "terminals").glob("*.pid"):
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.kill(json.loads(file.read_text())["pid"], signal.SIGTERM)


@pytest.fixture
def without_tmux(place):
    """A PATH on which everything is but tmux."""
    programs = place.state / "bin"
    programs.mkdir()
    for program in Path("/usr/bin").iterdir():
        if program.name != "tmux":
            (programs / program.name).symlink_to(program)
    place.env["PATH"] = str(programs)


@pytest.fixture
def with_tmux():
    if shutil.which("tmux") is None:
        pytest.skip("tmux is missing: sudo apt install tmux")


def new(server, **body) -> str:
    status, answer = server.ask("POST", "/api/terminals", body)
    assert status == 200, (status, answer)
    return answer["name"]


def names(server) -> list[str]:
    return sorted(each["name"] for each in server.get("/api/terminals"))


def typed(server, name: str, keys: str, until: str, within_s: float = 15.0) -> str:
    """Type into a new tab of a terminal; what it showed until `until` came."""

    async def talk() -> str:
        url = f"ws://127.0.0.1:{server.port}/terminals/websocket/{name}"
        socket = await websocket_connect(HTTPRequest(url, headers={"Authorization": "token t"}))
        shown = ""
        await socket.write_message(json.dumps(["set_size", 30, 100, 300, 800]))
        await socket.write_message(json.dumps(["stdin", keys]))
        try:
            async with asyncio.timeout(within_s):
                while until not in shown:
                    message = await socket.read_message()
                    assert message is not None, f"it ended before {until!r} came: {shown!r}"
                    kind, *content = json.loads(message)
                    shown += content[0] if kind == "stdout" else ""
        except TimeoutError:
            raise AssertionError(
                f"no {until!r} within {within_s} s in {shown!r}\n{server.place.log()[-2000:]}"
            ) from None
        socket.close()
        async with asyncio.timeout(5):
            while await socket.read_message() is not None:
                pass
        return shown

    return asyncio.run(talk())


def told(shown: str, name: str) -> str:
    """The value in a line `name=value.` that a shell printed (and did not merely echo)."""
    return shown.rpartition(f"{name}=")[2].partition(".")[0]


def alive(pid: str) -> bool:
    return proc.started(int(pid)) is not None


@pytest.mark.usefixtures("with_tmux")
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_with_tmux_a_terminal_outlives_the_server_under_its_name(place, signum):
    first = serve(place)
    name = new(first)
    typed(first, name, "x=41; seq -f line%g 200; echo r''eady\r", "ready")
    first.end(signum)
    second = serve(place)
    assert names(second) == [name]
    shown = typed(second, name, "echo v=$((x+1)).\r", "v=42.")
    assert "line7\r\n" in shown, "what had left the screen can be scrolled back to"
    assert new(second) != name


@pytest.mark.usefixtures("with_tmux")
def test_a_second_tab_sees_the_same_shell(place):
    server = serve(place)
    name = new(server)
    typed(server, name, "x=41; echo r''eady\r", "ready")
    assert "ready" in typed(server, name, "echo v=$((x+1)).\r", "v=42.")


@pytest.mark.usefixtures("with_tmux")
def test_the_shell_does_not_know_of_tmux_nor_of_the_server(place):
    server = serve(place)
    keys = "clear; env | cut -d= -f1 | grep -c -e ^TMUX -e ^JUPYTER -e ^JPY_ -e ^INVOCATION; tty; echo p=$$.$PWD.\r"
    shown = typed(server, new(server, cwd="/usr"), keys, "./usr.")
    assert "0\r\n/dev/pts/" in shown, shown


@pytest.mark.parametrize("keeper", ["with_tmux", "without_tmux"])
def test_pip_is_that_of_the_notebooks_after_the_files_of_a_login(place, request, keeper):
    request.getfixturevalue(keeper)
    own = place.state / "own"
    (own / "bin").mkdir(parents=True)
    (own / "bin/pip").symlink_to("/bin/true")
    (place.state / "home/.profile").write_text("export GIVEN=1 PATH=/usr/local/bin:/usr/bin:/bin\n")
    place.env["SHELL"] = "/bin/bash"
    where = (f"AccountTerminalManager.{name}={place.state}/{end}" for name, end in WHERE)
    own_one = (f"KernelSpecManager.own_environment={own}", "KernelSpecManager.environment=")
    server = place.serve(CLASS, *where, *own_one, "AccountTerminalManager.login_shell=login")
    shown = typed(server, new(server), "echo pip=$(command -v pip)..$GIVEN.e''nd\r", ".end")
    assert f"pip={own}/bin/pip..1.end" in shown


@pytest.mark.usefixtures("with_tmux")
def test_closing_one_ends_it_and_what_was_meant_to_go_on_goes_on(place):
    server = serve(place)
    name = new(server)
    shown = typed(server, name, "nohup sleep 62 >/dev/null 2>&1 & echo s=$$. b=$!.e''nd\r", ".end")
    shell, job = told(shown, "s"), told(shown, "b")
    assert server.ask("DELETE", f"/api/terminals/{name}")[0] == 204
    assert names(server) == []
    eventually(lambda: not alive(shell), why="the shell ends")
    eventually(lambda: not list((place.state / "terminals").iterdir()), why="nothing of it is left on disk")
    assert alive(job)
    os.kill(int(job), signal.SIGKILL)


@pytest.mark.parametrize("tmux", ["with_tmux", "without_tmux"])
def test_a_shell_that_ends_takes_its_terminal_along(place, request, tmux):
    request.getfixturevalue(tmux)
    server = serve(place)
    name = new(server)
    typed(server, name, "echo r''eady; sleep 1; exit\r", "ready")
    eventually(lambda: names(server) == [], why="the list is empty")
    eventually(lambda: not list((place.state / "terminals").iterdir()), why="nothing of it is left on disk")


@pytest.mark.usefixtures("without_tmux")
def test_without_tmux_it_is_a_terminal_that_ends_with_the_server(place):
    first = serve(place)
    name = new(first, cwd="/usr")
    shown = typed(first, name, "tty; stty size; echo s=$$.$PWD.\r", "./usr.")
    assert "/dev/pts/" in shown
    assert "30 100" in shown
    shell = told(shown, "s")
    typed(first, name, "sleep 60\r", "sleep")
    typed(first, name, "\x03echo b''ack\r", "back")
    first.end(signal.SIGKILL)
    eventually(lambda: not alive(shell), why="the shell ends")
    second = serve(place)
    assert names(second) == []
    eventually(lambda: not list((place.state / "terminals").iterdir()), why="nothing of it is left on disk")


@pytest.mark.usefixtures("without_tmux")
def test_closing_one_without_tmux_ends_it(place):
    server = serve(place)
    name = new(server)
    shell = told(typed(server, name, "echo s=$$.e''nd\r", "end"), "s")
    assert server.ask("DELETE", f"/api/terminals/{name}")[0] == 204
    eventually(lambda: not alive(shell), why="the shell ends")


@pytest.mark.usefixtures("with_tmux")
def test_stopping_for_good_ends_terminals_too(place):
    server = serve(place)
    shell = told(typed(server, new(server), "echo s=$$.e''nd\r", "end"), "s")
    server.end()
    assert alive(shell)
    argv = [sys.executable, "-I", "-m", "jupyterd", "kernels", "stop", "--all", "--terminals", "--state"]
    done = place.run([*argv, str(place.state)])
    assert done.returncode == 0, done.stderr
    eventually(lambda: not alive(shell), why="the shell ends")
    assert not list((place.state / "terminals").iterdir())


def test_a_name_that_cannot_be_a_file_is_refused(place):
    server = serve(place)
    assert server.ask("POST", "/api/terminals", {"name": "../../x"})[0] == 400
    assert names(server) == []
