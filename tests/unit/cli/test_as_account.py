"""What root's child is once it has become the account, and what root believes of what it says. Real processes."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jupyterd.cli import as_account
from jupyterd.linux.accounts import Account

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
NOBODY = Account("nobody", 65534, 65534, "/nonexistent")
_ON_A_TERMINAL = """
import fcntl, json, os, sys, termios
from jupyterd.cli import as_account
from jupyterd.linux.accounts import Account
secret = os.open("/etc/shadow", os.O_RDONLY)
os.set_inheritable(secret, True)
os.chdir("/root")
before = os.getsid(0)
open("/dev/tty").close()

def facts():
    try:
        with open("/dev/tty", "rb") as tty:
            fcntl.ioctl(tty, termios.TIOCSTI, b"#")
        tty = "open"
    except OSError as error:
        tty = error.strerror
    links = {fd: f"/proc/self/fd/{fd}" for fd in range(64)}
    opened = {fd: os.readlink(link).partition(":")[0] for fd, link in links.items() if os.path.lexists(link)}
    print(json.dumps({
        "ids": [*os.getresuid(), *os.getresgid(), *os.getgroups()], "tty": tty, "same session": os.getsid(0) == before,
        "environment": dict(os.environ), "opened": opened, "directory": os.getcwd(), "read": sys.stdin.read(),
    }))
    return 7

nobody = Account("nobody", 65534, 65534, "/nonexistent")
environ = as_account.environment(nobody, os.environ)
sys.stdout.flush()
code = as_account.run(nobody, facts, environ, b"typed")
print("code", code)
"""


def test_nothing_of_roots_is_left_not_even_the_terminal() -> None:
    environ = {
        "PATH": "/usr/bin",
        "LANG": "C.UTF-8",
        "SECRET": "of root",
        "PYTHONPATH": ":".join(sys.path),
        "HOME": "/root",
    }
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-c", _ON_A_TERMINAL], environ)  # noqa: S606
    shown = _all(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, shown
    first, last = shown.splitlines()
    found = json.loads(first)
    columns = found["environment"].pop("COLUMNS")
    assert int(columns) > 0
    assert found == {
        "ids": [65534] * 7,
        "tty": "No such device or address",
        "same session": False,
        "environment": {
            "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent", "USER": "nobody",
            "LOGNAME": "nobody", "XDG_RUNTIME_DIR": "/run/user/65534",
        },
        "opened": {"0": "pipe", "1": "pipe", "2": "pipe"},
        "directory": "/",
        "read": "typed",
    }  # fmt: skip
    assert last == "code 7"


def _all(terminal: int) -> str:
    shown = b""
    try:
        while data := os.read(terminal, 65536):
            shown += data
    except OSError:  # EIO: the other end is closed
        pass
    os.close(terminal)
    return shown.decode()


def test_the_account_cannot_read_the_memory_that_it_has_of_roots() -> None:
    def look() -> str:
        try:
            return Path("/proc/self/environ").read_text()
        except PermissionError:
            return "closed"

    assert as_account.ask(NOBODY, look) == "closed"


def test_what_it_prints_reaches_the_screen_without_commands(capfd: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        os.write(1, b"plain\n\x1b]0;owned\x07\n")
        sys.stdout.write("as it is\n")
        os.write(2, b"to standard error\n")
        return 0

    assert as_account.run(NOBODY, work, {}) == 0
    out, err = capfd.readouterr()
    assert (out, err) == ("plain\n\x1b]0;owned\x07\nas it is\n", "to standard error\n")  # a file is no terminal


@dataclass(frozen=True)
class Facts:
    size: int
    names: tuple[str, ...]
    mark: str | None = None


@pytest.mark.parametrize(
    ("kind", "value"),
    [(str, "x"), (bool, True), (tuple[str, ...], ("a", "b")), (Facts, Facts(3, ("a",))), (Facts, Facts(3, (), "m"))],
)
def test_a_checked_value_comes_back(kind: Any, value: object) -> None:
    assert as_account.ask(NOBODY, lambda: value, kind) == value
    assert as_account.ask(NOBODY, os.getuid, int) == NOBODY.uid


def _missing() -> str:
    return Path("/root/.profile").read_text()


def _writes(data: bytes) -> Callable[[], str]:
    """A question whose process answers with these bytes before it answers as it should."""

    def question() -> str:
        for fd in range(3, 64):
            try:
                os.write(fd, data)
            except OSError:
                continue
        os._exit(0)

    return question


@pytest.mark.parametrize(
    ("question", "kind", "error", "words"),
    [
        (_missing, str, OSError, "Permission denied"),
        (lambda: 3, str, ValueError, "of another type"),
        (lambda: Facts(3, ("a",)), tuple[str, ...], ValueError, "of another type"),
        (_writes(b"nonsense"), str, ValueError, "Expecting value"),
        (_writes(b"[" * 100_000), str, ValueError, "nested too deeply"),
        (_writes(b'{"value": 1e999}'), int, ValueError, "the number 1e999"),
        (_writes(b'{"refused": "\\u001b[2J"}'), str, OSError, r"\\x1b\[2J"),
        (lambda: "x" * (1 << 21), str, ValueError, "more than 1048576 bytes"),
        (lambda: os._exit(9), str, OSError, "exit code 9"),
        (os.abort, str, OSError, "SIGABRT"),
    ],
)
def test_root_believes_nothing_else(question: Any, kind: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        as_account.ask(NOBODY, question, kind)


_WAITS = """
import os, signal, sys, time
from jupyterd.cli import as_account
from jupyterd.linux.accounts import Account
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that runs the tests in the background ignores it
def work():
    print(os.getpid(), flush=True)
    time.sleep(600)
    return 0
try:
    as_account.run(Account("nobody", 65534, 65534, "/"), work, {})
except KeyboardInterrupt:
    print("interrupted")
except BrokenPipeError:
    sys.stderr.write("nobody reads")
    os.dup2(2, 1)
"""


def _waiting() -> tuple[subprocess.Popen[str], int]:
    """The program, and the pid of its child."""
    program = subprocess.Popen(
        [sys.executable, "-c", _WAITS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert program.stdout is not None
    return program, int(program.stdout.readline())


def test_ctrl_c_ends_the_child_too() -> None:
    program, child = _waiting()
    program.send_signal(signal.SIGINT)  # the terminal sends it to root's processes only
    said, _ = program.communicate(timeout=30)
    assert said == "interrupted\n"
    assert not Path(f"/proc/{child}").exists()


def test_a_reader_that_has_gone_ends_the_child_too() -> None:
    program, child = _waiting()
    assert program.stdout is not None
    program.stdout.close()
    with os.fdopen(os.open(f"/proc/{child}/fd/1", os.O_WRONLY), "w") as output:  # as if it said something more
        output.write("more\n")
    with program:
        assert program.stderr is not None
        assert program.stderr.read() == "nobody reads"
    assert program.returncode == 0
    assert not Path(f"/proc/{child}").exists()


@pytest.mark.slow
def test_one_that_never_answers_is_killed_at_the_deadline() -> None:
    reader, writer = os.pipe()

    def stuck() -> str:
        os.kill(os.getpid(), 19)  # SIGSTOP, as the account may send it
        return ""

    with pytest.raises(OSError, match="did not end within 0 s"):
        as_account.ask(NOBODY, stuck, deadline_s=0.2)
    os.close(writer)
    assert os.read(reader, 1) == b""  # nobody holds the other end
    os.close(reader)
