"""What the verb stores, and what it refuses: real files in a state directory, a real terminal for the questions."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest
from jupyter_server.auth.security import passwd_check

from jupyterd.linux import files, kept
from jupyterd.settings import login_store

GOOD = "correct horse battery"
NOBODY = 65534


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def verb(state: Path, *options: str, typed: bytes = b"") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-m", "jupyterd", "password", *options]
    environ = {"JUPYTERD_STATE_DIR": str(state), "HOME": str(state.parent), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    done = subprocess.run(command, input=typed, capture_output=True, timeout=60, check=False, env=environ)
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())


def stored(state: Path) -> login_store.StoredLogin:
    return login_store.read(state / "login.json")


def test_a_script_sets_it_and_a_waiting_token_dies(state: Path) -> None:
    token = login_store.issue_token(state / "login.json")
    done = verb(state, "--stdin", typed=f"{GOOD} ä\r\nanother line\n".encode())
    assert (done.returncode, done.stderr) == (0, "")
    assert GOOD not in done.stdout
    login = stored(state)
    assert passwd_check(login.password_hash, f"{GOOD} ä")
    assert login_store.judge(login, token) == "used"
    assert (state / "login.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "typed", [b"", b"\n", b"short\n", b"x" * 1025 + b"\n", b"caf\xe9 in latin-1\n", b"a\0bcdefgh\n"]
)
def test_what_is_no_password_changes_nothing(state: Path, typed: bytes) -> None:
    login_store.set_password(state / "login.json", "argon2:before")
    done = verb(state, "--stdin", typed=typed)
    assert done.returncode == 1
    assert "othing was changed" in done.stderr
    assert "Traceback" not in done.stderr
    assert stored(state).password_hash == "argon2:before"


def test_a_hash_goes_in_as_it_is_and_what_is_none_changes_nothing(state: Path) -> None:
    old = "sha1:67c9e60bb8b6:9ffede0825894254b2e042ea597d771089e11aed"
    assert verb(state, "--is-set").returncode == 3
    assert verb(state, "--hash-stdin", typed=old.encode()).returncode == 0
    assert stored(state).password_hash == old
    assert verb(state, "--is-set").returncode == 0
    for typed in (b"", GOOD.encode(), b"sha1:67c9:9ff", b"argon2:$argon2id$cut"):
        done = verb(state, "--hash-stdin", typed=typed)
        assert done.returncode == 1
        assert "othing was changed" in done.stderr and GOOD not in done.stderr
    assert stored(state).password_hash == old


def test_setup_leaves_a_password_that_is_the_same(state: Path) -> None:
    assert verb(state, "--stdin", typed=GOOD.encode()).returncode == 0
    before = stored(state)
    assert verb(state, "--stdin", "--if-new", typed=GOOD.encode()).returncode == 0
    assert stored(state) == before
    assert verb(state, "--stdin", "--if-new", typed=b"another good one").returncode == 0
    assert stored(state) != before


def test_remove(state: Path) -> None:
    login_store.set_password(state / "login.json", "argon2:before")
    assert verb(state, "--remove").returncode == 0
    assert not login_store.has_password(state / "login.json")


def test_settings_that_fix_it_are_named(state: Path) -> None:
    files.private_directory(state)
    kept.write(state / "live.json", json.dumps({"password_hash": "argon2:made-up"}).encode())
    done = verb(state, "--stdin", typed=GOOD.encode())
    assert done.returncode == 1
    assert "[login] password_hash" in done.stderr
    assert "jupyterd config hash" in done.stderr
    assert not (state / "login.json").exists()


def test_without_a_terminal_it_names_the_option(state: Path) -> None:
    done = verb(state, typed=GOOD.encode())
    assert done.returncode == 1
    assert "--stdin" in done.stderr


@pytest.fixture(params=["own", "another account's"])
def anybodys(request: pytest.FixtureRequest, public_path: Path) -> Path:
    state = public_path / "state"
    state.mkdir(mode=0o700)
    if request.param != "own":
        if os.geteuid() != 0:
            pytest.skip("only root can become another account")
        os.chown(state, NOBODY, NOBODY)
    return state


@pytest.mark.parametrize(("again", "code"), [(GOOD, 0), ("another one", 1)])
def test_at_a_terminal_it_asks_twice_and_shows_nothing(anybodys: Path, again: str, code: int) -> None:
    state = anybodys
    pid, terminal = pty.fork()
    if pid == 0:
        environ = {"JUPYTERD_STATE_DIR": str(state), "HOME": str(state.parent), "PATH": "/usr/bin:/bin"}
        os.execve(sys.executable, [sys.executable, "-I", "-m", "jupyterd", "password"], environ)  # noqa: S606
    shown = b""
    for question, answer in ((b"New password: ", GOOD), (b"Repeat the password: ", again)):
        shown += _until(terminal, question)
        os.write(terminal, answer.encode() + b"\n")
    shown += _until(terminal, None)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == code
    os.close(terminal)
    assert GOOD.encode() not in shown
    assert (state / "login.json").exists() == (code == 0)


def _until(terminal: int, text: bytes | None) -> bytes:
    deadline, shown = time.monotonic() + 30, b""
    while text is None or text not in shown:
        assert time.monotonic() < deadline, shown
        try:
            data = os.read(terminal, 4096)
        except OSError:  # EIO: the program has ended
            return shown
        if not data:
            return shown
        shown += data
    return shown
