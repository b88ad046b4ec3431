"""What is found of ./run, and what a service takes over from it: real files in two state directories."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyterd.cli.setup import service_account, tried
from jupyterd.environments import choices
from jupyterd.linux import ports
from jupyterd.linux.accounts import Account
from jupyterd.settings import login_store


@pytest.fixture
def me(tmp_path: Path) -> Account:
    return Account("me", os.getuid(), os.getgid(), str(tmp_path))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    where = tmp_path / ".local/state/jupyterd"
    (where / "run").mkdir(parents=True, mode=0o700)
    where.chmod(0o700)
    told = {"mode": "foreground", "urls": ["https://localhost:8443/"], "supervisor": {"pid": 41}}
    (where / "run/status.json").write_text(json.dumps(told | {"kernels": 2, "kernels_busy": 1}))
    return where


@pytest.fixture
def running(state: Path) -> Iterator[Path]:
    with (state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield state


def test_a_server_that_runs_is_told_with_its_kernels_and_is_in_the_way_of_its_own_port(
    me: Account, running: Path
) -> None:
    found = tried.find(me)
    assert found.shown == "The server of ./run (pid 41; 2 kernels, 1 busy) at https://localhost:8443/"
    assert found.state == str(running)
    assert found.is_in_the_way(8443) and not found.is_in_the_way(8888)
    said = service_account.in_the_way(found)
    assert "--end-run" in said and "--port" in said


def test_one_that_has_ended_is_in_nobodys_way(me: Account, state: Path) -> None:
    found = tried.find(me)
    assert not found.runs and not found.is_in_the_way(8443)
    assert state.is_dir()


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"urls": 1, "supervisor": [], "kernels": -1}', b"\xff", b"[" * 9000])
def test_a_damaged_status_file_hides_what_it_said_and_not_that_a_server_runs(
    me: Account, running: Path, damage: bytes
) -> None:
    (running / "run/status.json").write_bytes(damage)
    found = tried.find(me)
    assert found.runs and found.is_in_the_way(8888)
    assert (found.pid, found.kernels, found.url) == (0, 0, "")


def test_password_and_certificates_are_taken_over_where_there_are_none(
    me: Account, state: Path, tmp_path: Path
) -> None:
    service = tmp_path / "service"
    service.mkdir(mode=0o700)
    login_store.set_password(state / "login.json", "argon2:made-up")
    for name in ("authority.pem", "local.pem", "self-signed.pem"):
        (state / "tls").mkdir(mode=0o700, exist_ok=True)
        (state / "tls" / name).write_bytes(name.encode())
        (state / "tls" / name).chmod(0o600)
    (state / "python/bin").mkdir(parents=True)
    (state / "python/bin/python").touch()
    found = tried.find(me)
    assert (found.password, found.certificates, found.self_signed) == (True, ("authority.pem", "local.pem"), True)
    environment = f"the Python environment of new notebooks, {state}/python"
    assert tried.keep(me, found, service) == ("the password", "the certificate", environment)
    assert choices.read(service).default == f"{state}/python"
    assert login_store.read(service / "login.json").password_hash == "argon2:made-up"
    assert sorted(each.name for each in (service / "tls").iterdir()) == ["authority.pem", "local.pem"]
    assert {each.stat().st_mode & 0o777 for each in (service / "tls").iterdir()} == {0o600}
    login_store.set_password(state / "login.json", "argon2:another")
    assert tried.keep(me, found, service) == ()
    assert login_store.read(service / "login.json").password_hash == "argon2:made-up"


def test_the_next_free_port_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        assert ports.is_taken(port)
        assert ports.free_from(port) > port
    assert not ports.is_taken(port)
