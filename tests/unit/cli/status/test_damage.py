"""Every damage of the snapshot: a reader says so and goes on, and the supervisor writes it again."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
from support import damage

from jupyterd.cli.status import read
from jupyterd.linux import proc
from jupyterd.protocol.status import NAME, ProcessIdentity, Snapshot
from jupyterd.supervisor.status_file import Status


def snapshot() -> Snapshot:
    me = ProcessIdentity(os.getpid(), proc.started(os.getpid()) or 0)
    return Snapshot(
        version="1", mode="foreground", account="a", state="serving", status="Serving", since=time.monotonic(),
        supervisor=me, server=None, spare=None, sampler=None, urls=(), certificate=None, kernels=None,
        kernels_busy=None, addresses=(), reloads=0, restarts=1, recent=(), items=(), gpus=(), state_dir="/nowhere",
    )  # fmt: skip


def test_whatever_is_there_the_reader_says_so_and_the_supervisor_writes_it_again(tmp_path: Path) -> None:
    file = tmp_path / "run" / NAME
    status = Status(str(file.parent))
    status.publish(snapshot())
    good, now = file.read_bytes(), 100.0
    assert isinstance(read.look([file]), read.ServerStatus)
    written = (*damage.written(damage.contents(good, 80)), *damage.written(damage.values(good)))
    for name, spoil in (*written, *damage.others(), *damage.others()):
        damage.remove(file)
        spoil(file)
        found = read.look([file])
        if isinstance(found, read.Nothing):
            told = found.damaged or found.denied or found.left is not None
            assert told or name in {"removed", "a link to nothing"}, name
            assert all(str(file) in each for each in found.damaged), name
        now += 5.0
        status.keep(now)
        assert file.read_bytes() == good, name
    json.loads(good)


@pytest.mark.skipif(os.getuid() != 0, reason="only root mounts")
def test_a_broken_disk_is_told_and_not_fatal(tmp_path: Path) -> None:
    file = tmp_path / "run" / NAME
    status = Status(str(file.parent))
    status.publish(snapshot())
    subprocess.run(["mount", "--bind", f"/proc/{os.getpid()}/mem", str(file)], check=True)
    try:
        found = read.look([file])
        assert isinstance(found, read.Nothing) and str(file) in found.damaged[0]
        with pytest.raises(OSError, match="busy"):
            status.keep(200.0)
    finally:
        subprocess.run(["umount", "-l", str(file)], check=True)
    status.keep(205.0)
    assert isinstance(read.look([file]), read.ServerStatus)
