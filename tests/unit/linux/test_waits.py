"""What a process waits for, as /proc shows it: real processes that wait in each way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.waiting import eventually

from jupyterd.linux import proc, waits
from jupyterd.linux.waits import Wait

PATIENCE_S = 20.0


@contextmanager
def waiting(code: str, there: Path) -> Iterator[int]:
    """A process that says that it begins, and then runs this code in this directory."""
    argv = [sys.executable, "-I", "-c", f"import os, sys; print(1, flush=True)\n{code}"]
    with subprocess.Popen(argv, cwd=there, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("code", "call"),
    [
        ("open('{path}')", "openat"),
        ("os.open('a fifo', os.O_WRONLY)", "openat"),
        ("below = os.open('.', 0); os.open('a fifo', os.O_WRONLY, dir_fd=below)", "openat"),
        ("fd = os.open('a fifo', os.O_RDWR); os.read(fd, 1)", "read"),
        ("fd = os.open('a fifo', os.O_RDWR)\nwhile True: os.write(fd, bytes(65536))", "write"),
        ("import threading, time; threading.Thread(target=open, args=('a fifo',)).start(); time.sleep(99)", "openat"),
    ],
    ids=["path", "relative", "at", "read", "write", "thread"],
)
def test_a_file_is_named_with_its_mount(code: str, call: str, tmp_path: Path) -> None:
    if os.uname().machine not in ("x86_64", "aarch64"):
        pytest.skip("the numbers of system calls are known for two machines")
    path = tmp_path / "a fifo"
    os.mkfifo(path)
    with waiting(code.format(path=path), tmp_path) as pid:
        what = eventually(lambda: waits.of(pid).on_disk and waits.of(pid).what, "it waits for the file", PATIENCE_S)
        assert str(what).startswith(f"{call} of {path} ("), what
        assert " on /" in str(what), what


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("import time; time.sleep(99)", "clock_nanosleep"),
        ("import socket; pair = socket.socketpair(); pair[0].recv(1)", "recvfrom"),
        ("sys.stdin.read()", "read"),
        ("if os.fork():\n    os.wait()\nelse:\n    sys.stdin.read()", "wait4"),
        ("import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()", None),
        ("import select; select.epoll().poll()", None),
    ],
    ids=["time", "network", "pipe", "program", "dead lock", "idle loop"],
)
def test_what_comes_by_itself_and_what_does_not(code: str, what: str | None, tmp_path: Path) -> None:
    with waiting(code, tmp_path) as pid:
        eventually(lambda: proc.text(pid, "wchan") not in ("", "0") and proc.state(pid) == "S", "it waits", PATIENCE_S)
        eventually(lambda: waits.of(pid) == Wait(what), f"it waits for {what}", PATIENCE_S)


def test_who_computes_waits_for_nothing(tmp_path: Path) -> None:
    with waiting("while True: pass", tmp_path) as pid:
        assert waits.of(pid) == Wait(None)


def test_a_process_that_is_gone_waits_for_nothing() -> None:
    assert waits.of(2**22 + 1) == Wait(None)


def test_a_name_cannot_paint_the_terminal(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a\x1b[31mb")
    with waiting("open('a\\x1b[31mb')", tmp_path) as pid:
        what = eventually(lambda: waits.of(pid).on_disk and waits.of(pid).what, "it waits for the file", PATIENCE_S)
        assert "a?[31mb" in str(what)
