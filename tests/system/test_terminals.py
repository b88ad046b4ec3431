"""Terminals of the service: the account's full rights, kept by tmux through a restart, ended by a stop."""

from __future__ import annotations

import json
import shlex

import pytest
from support.waiting import eventually
from system.machine import ACCOUNT
from system.service import TOKEN, UNIT, Service

SUDO = "/etc/sudoers.d/test"
LIST = "systemctl --user list-units --all --no-legend --plain 'jupyterd-terminal-*'"


@pytest.fixture
def with_sudo(service: Service):
    service.machine.write(SUDO, f"{ACCOUNT} ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)
    yield service
    service.machine.run(f"rm -f {SUDO}")


def new(service: Service) -> str:
    code, answer = service.request("/api/terminals", method="POST", body={})
    assert code == 200, answer
    return str(json.loads(answer)["name"])


def typed(service: Service, name: str, keys: str, until: str) -> str:
    """What a tab of the terminal shows until `until` comes."""
    script = _TYPE.format(token=TOKEN, name=name, keys=keys, until=until)
    return service.machine.run(f"/opt/jupyterd/current/bin/python -I -c {shlex.quote(script)}", timeout_s=60)


def units(service: Service) -> str:
    return service.machine.run(LIST, account=ACCOUNT).strip()


def needs_tmux(service: Service) -> None:
    if service.machine.attempt("command -v tmux").returncode:
        pytest.skip("tmux is missing: sudo apt install tmux")


def test_a_shell_is_a_unit_of_its_own_with_the_rights_of_the_account(with_sudo: Service) -> None:
    keys = "cat /proc/self/cgroup; echo who=$(sudo -n id -un).e''nd\r"
    shown = typed(with_sudo, new(with_sudo), keys, ".end")
    assert "who=root.end" in shown
    assert "jupyterd.slice/jupyterd-terminal-1-" in shown
    assert "running Jupyter terminal" in units(with_sudo)


def test_it_outlives_a_restart_and_a_killed_server_and_ends_with_a_stop(service: Service) -> None:
    needs_tmux(service)
    name = new(service)
    typed(service, name, "x=41; nohup sleep 1234 & echo e''nd\r", "end")
    service.machine.run(f"systemctl restart {UNIT}", timeout_s=120)
    assert "v=42." in typed(service, name, "echo v=$((x+1)).\r", "v=42.")
    server = service.pids()["server"]
    service.machine.run(f"kill -KILL {server}")
    service.wait_server(other_than=server)
    assert "v=43." in typed(service, name, "echo v=$((x+2)).\r", "v=43.")
    service.machine.run(f"systemctl stop {UNIT}", timeout_s=90)
    assert units(service) == ""
    assert service.machine.run("pgrep -x tmux; pgrep -f '[s]leep 1234'", check=False) == ""
    assert service.show("Result") == "success"


def test_closing_one_in_the_browser_ends_it(service: Service) -> None:
    name = new(service)
    typed(service, name, "echo e''nd\r", "end")
    assert service.http(f"/api/terminals/{name}", method="DELETE") == 204
    eventually(lambda: units(service) == "", "its unit is gone")
    assert service.machine.run("ls /var/lib/jupyterd/terminals").split() == []


_TYPE = """
import asyncio, json, ssl
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect
async def talk():
    context = ssl._create_unverified_context()
    request = HTTPRequest("wss://localhost:8888/terminals/websocket/{name}", ssl_options=context,
                          headers={{"Authorization": "token {token}"}})
    socket = await websocket_connect(request)
    await socket.write_message(json.dumps(["set_size", 30, 150, 1, 1]))
    await socket.write_message(json.dumps(["stdin", {keys!r}]))
    shown = ""
    async with asyncio.timeout(30):
        while {until!r} not in shown:
            kind, *content = json.loads(await socket.read_message())
            shown += content[0] if kind == "stdout" else ""
    print(shown)
asyncio.run(talk())
"""
