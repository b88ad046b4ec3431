"""A kernel as its recorder sees it: sockets that say what a test wants, and the recorder's directories."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import zmq

from jupyterd.launch import recorder_process
from jupyterd.linux import kept
from jupyterd.protocol import spool
from jupyterd.protocol.cursors import CursorTable
from jupyterd.protocol.recorder_channel import RecorderPaths

SIZE = 2000
"""Bytes of a message's content."""


@dataclass
class LoneKernel:
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
        files = [kept.read(path) for path in spool.files(self.spool) if path.is_file()]
        return [int(json.loads(each.frames[1])["msg_id"][1:]) for data in files for each in spool.records(data)]

    def pid(self) -> int:
        lock = self.paths.spool / spool.LOCK
        text = lock.read_bytes() if lock.is_file() else b""
        return int(json.loads(text)["pid"]) if text else 0


@contextlib.contextmanager
def lone_kernel() -> Iterator[LoneKernel]:
    """One in directories of its own. Its recorder is ended, the directories are removed."""
    base = Path(tempfile.mkdtemp(prefix="jd-", dir="/tmp"))  # short: a socket path has 107 bytes
    paths = RecorderPaths(base / "k", base / "spool", base / "kernels")
    for each in (paths.sockets, paths.spool, paths.records):
        each.mkdir(mode=0o700)
    with zmq.Context() as context, context.socket(zmq.XPUB) as output, context.socket(zmq.ROUTER) as replies:
        output.sndhwm, output.linger, output.xpub_verbose, replies.linger = 0, 0, 1, 0
        output.bind(f"ipc://{paths.sockets}/one-1")
        for port in (2, 3):
            replies.bind(f"ipc://{paths.sockets}/one-{port}")
        made = LoneKernel(output, paths)
        CursorTable(made.spool / spool.MARKS).claim("tab", 1.0, frozenset())  # somebody who has seen nothing yet
        ports = {"iopub_port": 1, "shell_port": 2, "stdin_port": 3}
        info = {"transport": "ipc", "ip": str(paths.sockets / "one"), **ports}
        (paths.sockets / "kernel-one.json").write_text(json.dumps(info))
        yield made
        recorder_process.end(paths.spool)
    shutil.rmtree(base)
