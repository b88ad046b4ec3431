"""What a server leaves behind ends with it, and nothing else does: with a table, and with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest
from support.waiting import eventually

from jupyterd.linux import proc
from jupyterd.supervisor import leftovers
from jupyterd.supervisor.leftovers import ServiceProcess, left_by
from jupyterd.supervisor.poller import Poller

SUPERVISOR, DEAD, NEW, PLANNER = 10, 20, 21, 22


def program(parent: int, session: int = 1, *, ours: bool = True) -> ServiceProcess:
    return ServiceProcess(parent, session, ours)


MACHINE = {
    1: program(0, ours=False),
    SUPERVISOR: program(1, SUPERVISOR),
    NEW: program(SUPERVISOR, NEW),
    PLANNER: program(SUPERVISOR, PLANNER),
    31: program(NEW, NEW),
    32: program(31, 32),
}
"""A supervisor, the next server with two programs, and a planner."""


@pytest.mark.parametrize(
    ("there", "left"),
    [
        ({}, []),
        ({40: program(1, DEAD)}, [40]),
        ({40: program(1, 40)}, [40]),  # a daemon with a session of its own, in the unit's cgroup
        ({40: program(1, DEAD), 41: program(40, 41)}, [40, 41]),
        ({40: program(1, 40, ours=False)}, []),  # a kernel, which is another unit's, or a terminal
        ({40: program(1, DEAD, ours=False)}, [40]),  # in the foreground the session is what tells
        ({40: program(7, DEAD), 7: program(1, 7, ours=False)}, [40]),  # the user manager has adopted it
    ],
)
def test_who_was_left_by_a_server(there: dict[int, ServiceProcess], left: list[int]) -> None:
    assert left_by(DEAD, MACHINE | there, SUPERVISOR, {NEW, PLANNER}) == left


def test_a_circle_of_parents_does_not_hang() -> None:
    assert left_by(DEAD, {40: program(41), 41: program(40)}, SUPERVISOR, {NEW}) == [40, 41]


def test_what_systemd_starts_in_the_unit_is_not_the_servers() -> None:
    with subprocess.Popen(["sleep", "600"], env={"MAINPID": "1", "PATH": os.environ["PATH"]}) as reload:
        try:
            cgroup = proc.text(os.getpid(), "cgroup")
            found = leftovers.look(cgroup)
            assert not found[reload.pid].ours
            assert found[os.getpid()].ours
            assert not leftovers.look(None)[os.getpid()].ours
        finally:
            reload.kill()


@pytest.fixture
def orphan() -> Iterator[Callable[[str], tuple[int, int]]]:
    """orphan(script): a server that ends at once and leaves `sh -c script` in its session; (its pid, the program's)."""
    made: list[int] = []

    def start(script: str) -> tuple[int, int]:
        leave = f"sh -c {script!r} >/dev/null 2>&1 & echo $!"
        server = subprocess.Popen(["sh", "-c", leave], stdout=subprocess.PIPE, text=True, start_new_session=True)
        left = int(server.communicate(timeout=30)[0])
        made.append(left)
        return server.pid, left

    yield start
    for pid in made:
        if proc.started(pid) is not None:
            os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("script", ["exec sleep 600", "trap '' TERM; while :; do sleep 600; done"])
def test_it_is_asked_to_end_and_then_killed(orphan: Callable[[str], tuple[int, int]], script: str) -> None:
    server, left = orphan(script)
    poller = Poller()
    try:
        told = leftovers.end(server, None, set(), poller)
        assert f"(pid {left})" in " ".join(told)

        def is_gone() -> bool:
            for callback in poller.wait(0):
                callback()
            return proc.started(left) is None

        eventually(is_gone, "the program has ended")
    finally:
        poller.close()


def test_there_is_nothing_to_end_behind_a_server_that_has_started_nothing() -> None:
    poller = Poller()
    assert leftovers.end(1 << 22, None, set(), poller) == []
    assert poller.deadline() is None
    poller.close()
