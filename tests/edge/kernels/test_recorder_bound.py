"""The bound that a server set last holds for a recorder that is started again while no server runs."""

from __future__ import annotations

import os
import signal
import socket
import sys

import pytest
from support.lone_kernel import SIZE, LoneKernel
from support.waiting import eventually

from jupyterd.launch import recorder_process
from jupyterd.protocol import recorder_channel, spool
from jupyterd.protocol.recorder_channel import Hello

SMALL, LARGE = 1 << 18, 1 << 23
COUNT = 500
"""Messages that the kernel says: four times SMALL, an eighth of LARGE."""


def launch(kernel: LoneKernel, max_bytes: int) -> None:
    """As a server launches it, with this bound for want of another."""
    where = (str(kernel.paths.sockets), str(kernel.paths.spool), str(kernel.paths.records))
    program = [sys.executable, "-I", "-m", "jupyterd.recorder", *where, str(max_bytes)]
    recorder_process.launch(program, kernel.paths.spool, as_unit=False)
    eventually(kernel.has_listener)


def set_bound(kernel: LoneKernel, max_bytes: int) -> None:
    """A server says Hello and is gone."""
    path = kernel.paths.sockets / spool.SOCKET
    eventually(path.exists)
    with socket.socket(socket.AF_UNIX) as server:
        eventually(lambda: server.connect_ex(str(path)) == 0)
        server.sendall(recorder_channel.encode(Hello(sys.executable, max_bytes)))
        kept = kernel.paths.spool / spool.BOUND
        eventually(lambda: kept.exists() and int(kept.read_bytes()) == max_bytes)


def kill_and_wait_for_the_next(kernel: LoneKernel) -> None:
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
