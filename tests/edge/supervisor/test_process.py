"""Children as real processes: what they get, how they are signalled and reaped, what they cannot leak."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from select import POLLIN, poll

import pytest
from support.waiting import eventually

from jupyterd.linux.proc import PARENT
from jupyterd.protocol.plan import Command
from jupyterd.supervisor.main import seal
from jupyterd.supervisor.process import End, SpawnedProcess, reap, send, spawn

Python = Callable[..., Command]

TELL_ALL = """
import json, os, signal
blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
print(json.dumps({
    "env": dict(os.environ), "cwd": os.getcwd(), "pid": os.getpid(), "sid": os.getsid(0),
    "stdin": os.readlink("/proc/self/fd/0"), "blocked": len(blocked),
    "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd")),
    "ignored": [line.split()[1] for line in open("/proc/self/status") if line.startswith("SigIgn")][0],
}))
"""


def wait(process: SpawnedProcess, seconds: float = 20.0) -> End:
    waiter = poll()
    waiter.register(process.pidfd, POLLIN)
    assert waiter.poll(seconds * 1000), "it did not end"
    end = reap(process)
    os.close(process.pidfd)
    assert end is not None
    return end


@pytest.fixture
def null() -> Iterator[int]:
    fd = os.open("/dev/null", os.O_WRONLY)
    yield fd
    os.close(fd)


def run(command: Command, pass_fds: tuple[int, ...] = ()) -> tuple[End, bytes]:
    reading, writing = os.pipe()
    process = spawn(command, stdout=writing, stderr=writing, pass_fds=pass_fds)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        said = file.read()
    return wait(process), said


def test_child_gets_exactly_what_it_was_given(python: Python, tmp_path: Path) -> None:
    seal()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    quit_before = signal.signal(
        signal.SIGQUIT, signal.SIG_DFL
    )  # ignored where a shell has put ./check in the background
    listener, other = os.pipe()
    try:
        end, said = run(replace(python(TELL_ALL, A="1"), cwd=str(tmp_path)), pass_fds=(listener,))
    finally:
        signal.signal(signal.SIGHUP, before)
        signal.signal(signal.SIGQUIT, quit_before)
        os.close(other)
    told = json.loads(said)
    assert end == End(0, None)
    env = {name: value for name, value in told["env"].items() if not name.startswith("LC_")}  # PEP 538
    assert env == {"A": "1", PARENT: str(os.getpid())}
    assert told["cwd"] == str(tmp_path)
    assert told["sid"] == told["pid"]
    assert told["stdin"] == "/dev/null"
    assert told["blocked"] == 0
    listing = 1
    assert len(told["fds"]) == 3 + 1 + listing
    assert listener in told["fds"]
    # Python itself ignores SIGPIPE and SIGXFSZ when it starts; 32 and 33 belong to the C library.
    assert int(told["ignored"], 16) & ((1 << 31) - 1) == (1 << signal.SIGPIPE - 1) | (1 << signal.SIGXFSZ - 1)
    assert not os.get_inheritable(listener)
    os.close(listener)


def test_start_time_is_that_of_proc(python: Python, null: int) -> None:
    process = spawn(python("import time; time.sleep(60)"), stdout=null, stderr=null)
    stat = Path(f"/proc/{process.pid}/stat").read_text()
    assert process.started == int(stat.rpartition(")")[2].split()[19])
    send(process, "KILL")
    assert wait(process) == End(None, "SIGKILL")


def test_one_that_ignores_term_ends_by_kill(python: Python) -> None:
    reading, writing = os.pipe()
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    process = spawn(python(code), stdout=writing, stderr=writing)
    os.close(writing)
    assert os.read(reading, 10) == b"1\n"
    os.close(reading)
    send(process, "TERM")  # an ignored signal is gone at once (signal(7)): nothing of it is to come
    assert reap(process) is None
    send(process, "KILL")
    assert wait(process) == End(None, "SIGKILL")


def test_a_stopped_one_ends_by_kill_and_a_stop_is_no_end(python: Python, null: int) -> None:
    process = spawn(python("import time; time.sleep(60)"), stdout=null, stderr=null)
    os.kill(process.pid, signal.SIGSTOP)
    stat = Path(f"/proc/{process.pid}/stat")
    eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "it is stopped")
    assert reap(process) is None
    send(process, "KILL")
    assert wait(process) == End(None, "SIGKILL")


def test_signal_to_one_that_has_ended_is_no_error(python: Python, null: int) -> None:
    process = spawn(python("raise SystemExit(7)"), stdout=null, stderr=null)
    waiter = poll()
    waiter.register(process.pidfd, POLLIN)
    waiter.poll(20_000)
    send(process, "TERM")
    assert wait(process) == End(7, None)


def test_spawn_failures_name_what_is_wrong(python: Python, tmp_path: Path, null: int) -> None:
    closed = tmp_path / "closed"
    closed.write_text("#!/bin/sh\n")
    closed.chmod(0o644)
    for command, error, name in (
        (Command(("/nowhere/python",), (), "/"), FileNotFoundError, "/nowhere/python"),
        (Command((str(closed),), (), "/"), PermissionError, str(closed)),
        (replace(python("pass"), cwd="/nowhere"), FileNotFoundError, "/nowhere"),
    ):
        with pytest.raises(error) as caught:
            spawn(command, stdout=null, stderr=null)
        assert caught.value.filename == name


def test_two_hundred_spawns_leak_nothing(open_fds: Callable[[], int], null: int) -> None:
    before, children = open_fds(), Path(f"/proc/self/task/{os.getpid()}/children")
    others = children.read_text()
    for _ in range(200):
        wait(spawn(Command(("/bin/true",), (), "/"), stdout=null, stderr=null))
    assert open_fds() == before
    assert children.read_text() == others


def test_child_dies_with_a_killed_parent() -> None:
    child = (
        "import time; from jupyterd.linux.proc import die_with_parent\n"
        "die_with_parent(); print(1, flush=True); time.sleep(60)"
    )
    parent = (
        "import os, time; from jupyterd.supervisor.process import spawn; from jupyterd.protocol.plan import Command\n"
        f"p = spawn(Command(({sys.executable!r}, '-I', '-c', {child!r}), (), '/'), stdout=1, stderr=2)\n"
        "print(p.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-I", "-c", parent], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        said = sorted(int(supervisor.stdout.readline()) for _ in range(2))
        pidfd = os.pidfd_open(said[1])
        supervisor.kill()
        waiter = poll()
        waiter.register(pidfd, POLLIN)
        assert waiter.poll(20_000)
        os.close(pidfd)
