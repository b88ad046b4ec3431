"""The bound that a server set last holds for a recorder that is started again while no server runs."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import zmq
from support.waiting import eventually

from jupyterd.launch import recorder_process
from jupyterd.protocol import recorder_channel, spool
from jupyterd.protocol.cursors import CursorTable
from jupyterd.protocol.recorder_channel import Hello, RecorderPaths

SMALL, LARGE = 1 << 18, 1 << 23
COUNT, SIZE = 500, 2000
"""Messages that the kernel says: four times SMALL, an eighth of LARGE."""


@dataclass
class Kernel:
    """The output of one, and the paths that its recorder has."""

    output: zmq.Socket[bytes]
    paths: RecorderPaths

    @property
    def spool(self) -> Path:
        return self.paths.spool / "one"

    def has_listener(self) -> bool:
        """Whether a recorder has subscribed since the last call."""
        with contextlib.suppress(zmq.Again):
            while True:
                if self.output.recv(zmq.NOBLOCK) == b"\x01":
                    return True
        return False

    def say(self, number: int) -> None:
        header = {"msg_id": f"m{number}", "msg_type": "stream", "date": f"2026-01-01T00:00:00.{number:06d}Z"}
        frames = [b"", json.dumps(header).encode(), b"{}", b"{}", b"x" * SIZE]
        self.output.send_multipart([b"stream", b"<IDS|MSG>", *frames])

    def recorded(self) -> list[int]:
        files = [path.read_bytes() for path in spool.files(self.spool)]
        return [int(json.loads(each.frames[1])["msg_id"][1:]) for data in files for each in spool.records(data)]

    def pid(self) -> int:
        text = (self.paths.spool / spool.LOCK).read_bytes() if (self.paths.spool / spool.LOCK).exists() else b""
        return int(json.loads(text)["pid"]) if text else 0


@pytest.fixture
def kernel():
    base = Path(tempfile.mkdtemp(prefix="jd-", dir="/tmp"))  # short: a socket path has 107 bytes
    paths = RecorderPaths(base / "k", base / "spool", base / "kernels")
    for each in (paths.sockets, paths.spool, paths.records):
        each.mkdir(mode=0o700)
    with zmq.Context() as context, context.socket(zmq.XPUB) as output, context.socket(zmq.ROUTER) as replies:
        output.sndhwm, output.linger, output.xpub_verbose, replies.linger = 0, 0, 1, 0
        output.bind(f"ipc://{paths.sockets}/one-1")
        for port in (2, 3):
            replies.bind(f"ipc://{paths.sockets}/one-{port}")
        made = Kernel(output, paths)
        CursorTable(made.spool / spool.MARKS).claim("tab", 1.0, frozenset())  # somebody who has seen nothing yet
        ports = {"iopub_port": 1, "shell_port": 2, "stdin_port": 3}
        info = {"transport": "ipc", "ip": str(paths.sockets / "one"), **ports}
        (paths.sockets / "kernel-one.json").write_text(json.dumps(info))
        yield made
        recorder_process.end(paths.spool)
    shutil.rmtree(base)


def launch(kernel: Kernel, max_bytes: int) -> None:
    """As a server launches it, with this bound for want of another."""
    where = (str(kernel.paths.sockets), str(kernel.paths.spool), str(kernel.paths.records))
    program = [sys.executable, "-I", "-m", "jupyterd.recorder", *where, str(max_bytes)]
    recorder_process.launch(program, kernel.paths.spool, as_unit=False)
    eventually(kernel.has_listener)


def set_bound(kernel: Kernel, max_bytes: int) -> None:
    """A server says Hello and is gone."""
    path = kernel.paths.sockets / spool.SOCKET
    eventually(path.exists)
    with socket.socket(socket.AF_UNIX) as server:
        eventually(lambda: server.connect_ex(str(path)) == 0)
        server.sendall(recorder_channel.encode(Hello(sys.executable, max_bytes)))
        kept = kernel.paths.spool / spool.BOUND
        eventually(lambda: kept.exists() and int(kept.read_bytes()) == max_bytes)


def kill_and_wait_for_the_next(kernel: Kernel) -> None:
    first = kernel.pid()
    os.kill(first, signal.SIGKILL)
    eventually(lambda: kernel.pid() not in (0, first))
    eventually(kernel.has_listener)


@pytest.mark.parametrize(("default", "bound"), [(SMALL, LARGE), (LARGE, SMALL)], ids=["larger", "smaller"])
def test_a_recorder_that_comes_back_without_a_server_has_the_bound_that_the_last_one_set(kernel, default, bound):
    launch(kernel, default)
    set_bound(kernel, bound)
    kill_and_wait_for_the_next(kernel)
    for number in range(COUNT):
        kernel.say(number)
    eventually(lambda: kernel.recorded()[-1:] == [COUNT - 1])
    if bound == LARGE:
        assert kernel.recorded() == list(range(COUNT))
    else:
        assert len(kernel.recorded()) * SIZE <= SMALL


@pytest.mark.parametrize("kept", [None, "", "none", "-5", "0"])
def test_without_a_bound_that_can_be_read_the_default_holds(kernel, kept):
    if kept is not None:
        (kernel.paths.spool / spool.BOUND).write_text(kept)
    launch(kernel, LARGE)
    for number in range(COUNT):
        kernel.say(number)
    eventually(lambda: kernel.recorded()[-1:] == [COUNT - 1])
    assert kernel.recorded() == list(range(COUNT))
