"""`jupyterd config` as a person types it: exit codes, all problems at once, and no secret on the screen."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.network import free_port

from jupyterd.cli.main import main
from jupyterd.linux.accounts import account
from jupyterd.settings import sample

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in list(os.environ):
        if name.startswith(("JUPYTERD_", "XDG_", "CREDENTIALS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("JUPYTERD_MODE", "foreground")
    monkeypatch.setenv("JUPYTERD_SERVER_ALLOW_ROOT", "yes")
    return tmp_path


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    assert home.is_dir()

    def typed(*argv: str) -> tuple[int, str, str]:
        code = main(["config", *argv])
        out, err = capsys.readouterr()
        return code, out, err

    return typed


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def test_check_is_one_line_when_all_is_well(run: Run, home: Path) -> None:
    port = free_port()
    code, out, err = run("check", "--port", str(port), "--base-url", "x")
    assert (code, err) == (0, "")
    assert (
        out
        == f"The settings are valid: {account(os.getuid(), {}, service=True).name} serves https://localhost:{port}/x/\n"
    )
    assert not (home / ".local").exists()


def test_check_tells_every_problem_of_every_kind_at_once(run: Run, home: Path) -> None:
    file = put(
        home / ".config/jupyterd/jupyterd.toml",
        "[server]\nprot = 1\nroot_dir = '/nowhere/x'\nip = '0.0.0.1'\n[tls]\ncertificate = '/etc/hostname'\n",
    )
    code, out, err = run("check", "--jupyter-config-dir", "/nowhere/y", "--log-level", "loud")
    assert (code, out) == (78, "")
    lines = err.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        f"{file}:2", f"{file}:4", "--log-level", f"{file}:3", "--jupyter-config-dir", f"{file}:6", "6 problems.",
    ]  # fmt: skip


def test_check_does_not_look_at_the_machine_for_settings_that_are_not_known(run: Run, home: Path) -> None:
    put(home / "x.toml", "[server]\nroot_dir = 5\n")
    code, _, err = run("check", "-c", str(home / "x.toml"))
    assert (code, err.splitlines()[1:]) == (78, ["1 problem."])
    put(home / "x.toml", "[server]\nroot_dir = '/nowhere'\nlab = maybe\n")
    code, _, err = run("check", "-c", str(home / "x.toml"), "--jupyter-config-dir", "/nowhere")
    assert [line.partition(": ")[0] for line in err.splitlines()] == [f"{home}/x.toml:3", "1 problem."]


def test_check_shows_what_would_only_be_waited_for_or_warned_of(run: Run, home: Path) -> None:
    hidden = home / ".hidden"
    hidden.mkdir()
    code, out, err = run("check", "--port", str(free_port()), "--root-dir", str(hidden))
    assert (code, out.count("\n")) == (0, 1)
    assert err.startswith(f"warning: server.root_dir {hidden} has a hidden part (.hidden)")


def test_check_tells_what_the_machine_says_beside_what_is_wrong(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERD_MODE", "user")  # in a terminal nothing is waited for
    nowhere = ("--certificate", "/nowhere/fullchain.pem", "--root-dir", "/nowhere/nb")
    code, out, err = run("check", *nowhere)
    assert (code, out.startswith("The settings are valid, but ")) == (75, True)
    assert "/nowhere/fullchain.pem does not exist; the server would wait" in err and "/nowhere/nb does not exist" in err
    code, out, err = run("check", "--port", "0", *nowhere)
    assert (code, out) == (78, "")
    assert "server.port is 0" in err and "/nowhere/fullchain.pem" in err and "/nowhere/nb" in err
    assert run("check", "--reloading", *nowhere)[0] == 0


def test_check_tells_a_port_that_is_taken_and_an_address_that_is_not_there(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = str(held.getsockname()[1])
        code, _, err = run("check", "--port", port, "--ip", "127.0.0.1,192.0.2.77")
    assert code == 75
    assert f"127.0.0.1 port {port} is in use by another program" in err
    assert "this machine does not have the address 192.0.2.77" in err
    assert run("check", "--port", port, "--ip", "127.0.0.1")[0] == 0


def test_show_gives_values_with_their_origins(run: Run, home: Path) -> None:
    file = put(home / ".config/jupyterd/jupyterd.toml", f"[login]\n\ntoken = '{'hunter2' * 3}'\n")
    code, out, _ = run("show", "--origin", "--no-lab")
    lines = [line.split("#") for line in out.splitlines()]
    shown = {line[0].strip(): line[1].strip() for line in lines if len(line) > 1}
    assert code == 0
    assert shown['token = "(set)"'] == f"{file}:3"
    assert shown["lab = false"] == "--no-lab"
    assert shown["port = 8888"] == "built-in default"
    assert shown["allow_root = true"] == "environment JUPYTERD_SERVER_ALLOW_ROOT"
    assert "hunter2" not in out
    assert "#" not in run("show")[1]


def test_show_is_toml_that_says_the_same(run: Run, home: Path) -> None:
    _, out, _ = run("show", "--ip", "::1,*", "--hang-after", "7.5")
    file = put(home / "x.toml", out)
    assert run("show", "-c", str(file))[1] == out


def test_show_json(run: Run, home: Path) -> None:
    put(home / ".config/jupyterd/jupyterd.toml", f"[login]\ntoken = '{'hunter2' * 3}'\n")
    document = json.loads(run("show", "--json")[1])
    assert document["server"]["ip"] == ["localhost"]
    assert document["login"]["token"] == "(set)"
    document = json.loads(run("show", "--json", "--origin")[1])
    assert document["server"]["port"] == {"value": 8888, "origin": "built-in default"}


def test_show_refuses_like_check(run: Run) -> None:
    code, out, err = run("show", "--port", "0")
    assert (code, out) == (78, "")
    assert err == "--port: server.port is 0; allowed is a whole number from 1 to 65535\n1 problem.\n"


def test_sample(run: Run) -> None:
    assert run("sample") == (0, sample.text(), "")


def test_hash_makes_a_line_that_is_taken(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("correct horse\n"))
    code, out, err = run("hash")
    assert (code, err) == (0, "")
    assert "horse" not in out
    file = put(home / "x.toml", f"[login]\n{out}")
    assert run("check", "--port", str(free_port()), "-c", str(file))[0] == 0
    monkeypatch.setattr(sys, "stdin", io.StringIO("short\n"))
    assert run("hash")[0] == 1


def test_a_reader_that_has_seen_enough_is_no_error(home: Path) -> None:
    command = f"{sys.executable} -m jupyterd config sample | head -n 1"
    environ = os.environ | {"HOME": str(home)}
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, check=True, env=environ)
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
