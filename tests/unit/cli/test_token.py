"""Which token the verb makes, and that what it makes is what the login page takes. Real files in a state directory."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from jupyterd.cli import _common, login_state, token
from jupyterd.cli.banner import OwnToken, Password, Token, TokenHidden
from jupyterd.cli.ssh import Here
from jupyterd.cli.status.read import Nothing
from jupyterd.linux import files, kept
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
    token.show(_common.Server(paths, None), Token("bare"), Here("ada", "192.0.2.9"))
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
