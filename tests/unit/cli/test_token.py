"""Which token the verb makes, and that what it makes is what the login page takes. Real files in a state directory."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from jupyterd.cli import _common, login_state, token
from jupyterd.cli.banner import OwnToken, Password, Token, TokenHidden
from jupyterd.cli.ssh import SshTarget
from jupyterd.cli.status.read import Nothing, standing
from jupyterd.linux import files, kept
from jupyterd.protocol.status import Address, ProcessIdentity, Snapshot, encode
from jupyterd.settings import login_store
from jupyterd.settings.paths import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths("foreground", tmp_path / "state", tmp_path / "state" / "run")


def settings(paths: Paths, **live: object) -> None:
    files.private_directory(paths.state)
    kept.write(paths.live, json.dumps(live).encode())


def test_a_new_server_gets_a_token_that_sets_the_first_password(paths: Paths) -> None:
    login = login_state.first(paths, terminal=True)
    assert isinstance(login, Token)
    assert login.does == "first"
    assert login_store.consume(paths.login, login.token, "argon2:made-up") == "fresh"
    assert login_state.first(paths, terminal=True) == Password()
    again = login_state.issue(paths, login_state.read(paths))
    assert again.does == "resets"


def test_without_a_terminal_no_token_is_made(paths: Paths) -> None:
    assert login_state.first(paths, terminal=False) == TokenHidden()
    assert not paths.login.exists()


def test_other_ways_in_need_no_token(paths: Paths) -> None:
    settings(paths, token="lasting")
    assert login_state.first(paths, terminal=True) == OwnToken()
    settings(paths, password_hash="argon2:made-up")
    assert login_state.first(paths, terminal=True) == Password()
    assert not paths.login.exists()


def test_settings_that_fix_the_password_make_a_token_that_only_logs_in(paths: Paths) -> None:
    settings(paths, password_hash="argon2:made-up")
    assert login_state.issue(paths, login_state.read(paths)).does == "once"
    settings(paths, allow_password_change=False)
    assert login_state.issue(paths, login_state.read(paths)).does == "once"


def test_another_accounts_server_is_nobody_elses_to_open(paths: Paths) -> None:
    with pytest.raises(PermissionError, match="another account"):
        _common.server_of(Nothing(denied=(Path("/run/jupyterd/status.json"),)), (paths,))


def test_without_a_server_the_bare_token_goes_to_standard_output(
    paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    token.show(_common.Server(paths, None), Token("bare"), SshTarget("ada", "192.0.2.9"))
    out, err = capsys.readouterr()
    assert out == "bare\n"
    assert "no server runs" in err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_root_becomes_the_services_account_before_it_touches_a_file() -> None:
    entry = pwd.getpwnam("nobody")
    state = Path(tempfile.mkdtemp(prefix="jupyterd-token-"))
    try:
        os.chown(state, entry.pw_uid, entry.pw_gid)
        environ = {
            "PATH": "/usr/bin:/bin", "JUPYTERD_MODE": "service", "STATE_DIRECTORY": str(state),
            "RUNTIME_DIRECTORY": str(state),
        }  # fmt: skip
        argv = [sys.executable, "-I", "-m", "jupyterd", "token"]
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        assert {file.stat().st_uid for file in state.iterdir()} == {entry.pw_uid}
        assert done.stdout.strip() not in (state / "login.json").read_text()
    finally:
        shutil.rmtree(state)


ROW = Address("192.0.2.7", "https://192.0.2.7:8888/", ok=False, since=1.0, detail="")


@pytest.mark.parametrize(
    ("looks", "urls"),
    [
        ([("serving", ["a"], ROW), ("serving", ["b", "a"], replace(ROW, ok=True))], ("b", "a")),  # answered meanwhile
        ([("serving", ["a"], ROW), ("serving", ["a"], replace(ROW, detail="connection refused"))], ("a",)),
        ([("restarting", [], None), ("serving", ["a"], replace(ROW, ok=True))], ("a",)),
        ([("restarting", [], None)], ()),  # it does not come back
        ([("waiting", [], None), ("serving", ["a"], ROW)], ()),  # that may take for ever
        ([("serving", ["a"], ROW)], ("a",)),  # a firewall drops everything
    ],
)
def test_what_is_shown_waits_a_moment_for_addresses_that_have_not_answered_yet(
    looks: list[tuple[str, list[str], Address | None]], urls: tuple[str, ...], tmp_path: Path
) -> None:
    me = ProcessIdentity(os.getpid(), 1)
    shots = [
        Snapshot(
            version="1", mode="service", account="ada", state=state, status="", since=1.0, supervisor=me, server=None,
            spare=None, sampler=None, urls=tuple(shown), addresses=() if row is None else (row,), certificate=None,
            kernels=None, kernels_busy=None, reloads=0, restarts=0, recent=(), items=(), gpus=(),
            state_dir=str(tmp_path),
        )
        for state, shown, row in looks
    ]  # fmt: skip
    file = tmp_path / "status.json"
    paused = []

    def turn(seconds: float) -> None:
        paused.append(seconds)
        file.write_bytes(encode(shots[min(len(paused), len(shots) - 1)]))

    file.write_bytes(encode(shots[0]))
    server = _common.Server(Paths("service", tmp_path, tmp_path), standing(file))
    assert token.settled(server, turn).urls == urls
    assert len(paused) <= (token.START_LOOKS if looks[-1][0] == "restarting" else token.SETTLE_LOOKS)
