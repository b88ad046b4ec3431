"""Children by role: what they say comes before how they ended, and in bounded pieces."""

from __future__ import annotations

import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from support.waiting import eventually

from jupyterd.core.effects import Spawn
from jupyterd.core.events import ChildExited, ChildStarted, Event, FrameCame, PlanMade, Role, ServerSaid, SpawnFailed
from jupyterd.protocol import gpu_frames, plan
from jupyterd.protocol.gpu_frames import Frame
from jupyterd.protocol.plan import Command, Plan, Refused
from jupyterd.protocol.policy import Policy
from jupyterd.protocol.server_channel import Go, Imported, KernelCounts, Ready, Reload
from jupyterd.supervisor.children import Children
from jupyterd.supervisor.poller import Poller

Python = Callable[..., Command]
Drive = Callable[..., list[Event]]

SERVER = """
import os, socket, sys
from jupyterd.protocol import server_channel as channel
line = socket.socket(fileno=int(os.environ[channel.CHANNEL]))
listeners = [socket.socket(fileno=int(fd)) for fd in os.environ[channel.LISTEN].split(",")]
def say(message): line.sendall(channel.encode(message))
ports = [each.getsockname()[1] for each in listeners]
"""


@dataclass
class Supervised:
    children: Children
    complaints: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)


@pytest.fixture
def supervised(poller: Poller) -> Supervised:
    def stream(name: str) -> int:
        made.names.append(name)
        return os.open("/dev/null", os.O_WRONLY)

    complaints: list[str] = []
    made = Supervised(Children(poller, stream, 15.0, complaints.append), complaints)
    return made


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def exited(events: list[Event]) -> bool:
    return any(isinstance(event, ChildExited) for event in events)


def a_plan() -> Plan:
    command = Command(("/bin/true",), (), "/")
    return Plan(
        version="1", account="a", mode="foreground", state_dir="/s", runtime_dir="/r", listen=(), targets=(), urls=(),
        base_url="/", certificate=None, server=command, server_key="", live_key="", sampler=None, planner=command,
        ender=command,
    )  # fmt: skip


def test_server_gets_sockets_and_channel(
    supervised: Supervised, drive: Drive, python: Python, listener: socket.socket
) -> None:
    code = SERVER + (
        "say(channel.KernelCounts(total=ports[0], busy=0))\n"
        "said = line.makefile('rb').readline()\n"
        "say(channel.Ready() if channel.decode(said) == channel.Reload('k') else channel.Failed('?'))\n"
        "raise SystemExit(3)"
    )
    started = supervised.children.spawn(Spawn(Role.SERVER, python(code)), (listener.fileno(),))
    assert isinstance(started, ChildStarted)
    first = drive(bool)
    assert first == [ServerSaid(started.pid, KernelCounts(listener.getsockname()[1], 0))]
    supervised.children.send(Reload("k"))
    assert drive(exited) == [ServerSaid(started.pid, Ready()), ChildExited(Role.SERVER, started.pid, 3, None)]
    assert supervised.names == ["server"]
    supervised.children.send(Reload("k"))  # nobody is there: no error
    assert not supervised.complaints


def test_the_beat_of_the_servers_event_loop_is_seen_without_asking_it(
    supervised: Supervised, drive: Drive, python: Python, listener: socket.socket
) -> None:
    code = SERVER + (
        "import asyncio, time; from jupyterd.server import supervisor_link as link\n"
        "line.setblocking(True); say(channel.Imported()); line.recv(99)\n"
        "link.use_heartbeat(link.take_heartbeat(os.environ)); loop = asyncio.get_event_loop_policy().get_event_loop()\n"
        "loop.run_until_complete(asyncio.sleep(0)); say(channel.Ready()); time.sleep(60)\n"
    )
    started = supervised.children.spawn(Spawn(Role.SERVER, python(code)), (listener.fileno(),))
    assert isinstance(started, ChildStarted)
    drive(bool)
    before = time.monotonic()
    assert supervised.children.inspect(started.pid).turned is None
    supervised.children.send(Reload("k"))
    drive(bool)
    seen = [supervised.children.inspect(started.pid).turned for _ in range(2)]
    assert seen[0] is not None
    assert before < seen[0] < time.monotonic()
    assert seen[0] == seen[1], "it stands still, and nobody has made it turn"
    supervised.children.signal(Role.SERVER, started.pid, "KILL")
    drive(exited)
    assert supervised.children.inspect(started.pid).turned is None


@pytest.mark.parametrize(
    "garbage", ["b'hello\\n'", "b'x' * 70000", "channel.encode(channel.Reload('k'))", 'b\'{"Ready": {"a": 1}}\\n\'']
)
def test_garbage_on_the_channel_is_told_once_and_ends_it(
    supervised: Supervised, drive: Drive, python: Python, listener: socket.socket, garbage: str
) -> None:
    code = (
        SERVER + f"line.sendall({garbage})\nassert line.recv(1) == b''\ntime = __import__('time')\nraise SystemExit(4)"
    )
    started = supervised.children.spawn(Spawn(Role.SERVER, python(code)), (listener.fileno(),))
    assert isinstance(started, ChildStarted)
    assert drive(exited) == [ChildExited(Role.SERVER, started.pid, 4, None)]
    assert len(supervised.complaints) == 1
    assert supervised.complaints[0].startswith("the server sent ")


def test_planner_gives_a_plan_with_the_watchdog_in_it(supervised: Supervised, drive: Drive, python: Python) -> None:
    made = replace(a_plan(), notes=("x" * 200_000,))  # more than a pipe holds
    code = "import sys; sys.stdout.write(sys.argv[1] + 'x' * 200_000 + sys.argv[2])"
    before, after = plan.encode(made).decode().split("x" * 200_000)
    started = supervised.children.spawn(Spawn(Role.PLANNER, python(code, before, after)), ())
    assert isinstance(started, ChildStarted)
    answer, end = drive(exited)
    assert answer == PlanMade(replace(made, policy=replace(Policy(), watchdog_s=15.0)))
    assert end == ChildExited(Role.PLANNER, started.pid, 0, None)


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("raise SystemExit(1)", "the planner ended without an answer (exit code 1)"),
        ("import os; os.kill(os.getpid(), 9)", "the planner ended without an answer (SIGKILL)"),
        ("print('{}')", "not a plan: KeyError: 'format'"),
        ("import sys\nwhile True: sys.stdout.write('x' * 65536)", "the planner's answer is too long"),
    ],
)
def test_planner_without_an_answer(
    supervised: Supervised, drive: Drive, python: Python, code: str, answer: str
) -> None:
    supervised.children.spawn(Spawn(Role.PLANNER, python(code)), ())
    made = drive(exited)[0]
    assert isinstance(made, PlanMade)
    assert isinstance(made.answer, str)
    assert made.answer.startswith(answer)


def test_a_refusal_is_an_answer_whatever_the_exit_code(supervised: Supervised, drive: Drive, python: Python) -> None:
    said = plan.encode(Refused(("a:1: b",))).decode()
    supervised.children.spawn(Spawn(Role.PLANNER, python("import sys; print(sys.argv[1]); sys.exit(78)", said)), ())
    assert drive(exited)[0] == PlanMade(Refused(("a:1: b",)))


def test_sampler_frames_and_what_is_none(supervised: Supervised, drive: Drive, python: Python) -> None:
    frame = Frame((), "no driver", "reboot")
    code = (
        "import sys; out = sys.stdout\n"
        "out.write(sys.argv[1] + 'garbage\\n' + 'x' * 100_000 + '\\n' + sys.argv[1] + 'half')"
    )
    started = supervised.children.spawn(Spawn(Role.SAMPLER_RELAY, python(code, gpu_frames.encode(frame).decode())), ())
    assert isinstance(started, ChildStarted)
    *came, end = drive(exited)
    assert came == [FrameCame(frame), FrameCame(None), FrameCame(None), FrameCame(frame)]
    assert end == ChildExited(Role.SAMPLER_RELAY, started.pid, 0, None)


def test_ender_says_nothing_to_us(supervised: Supervised, drive: Drive, python: Python) -> None:
    started = supervised.children.spawn(Spawn(Role.ENDER, python("print('done')")), ())
    assert isinstance(started, ChildStarted)
    assert drive(exited) == [ChildExited(Role.ENDER, started.pid, 0, None)]


def test_failed_spawn_leaks_nothing(supervised: Supervised, open_fds: Callable[[], int]) -> None:
    before = open_fds()
    for role in Role:
        failed = supervised.children.spawn(Spawn(role, Command(("/nowhere",), (), "/")), ())
        assert failed == SpawnFailed(role, "/nowhere: No such file or directory")
    assert open_fds() == before


def test_a_spare_is_nice_until_it_takes_over(
    supervised: Supervised, drive: Drive, python: Python, listener: socket.socket
) -> None:
    code = SERVER + "line.recv(99); say(channel.Ready())"
    may_return = os.geteuid() == 0 or resource.getrlimit(resource.RLIMIT_NICE)[0] >= 20
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    started = supervised.children.spawn(Spawn(Role.SPARE, python(code)), (listener.fileno(),))
    assert isinstance(started, ChildStarted)
    assert os.getpriority(os.PRIO_PROCESS, started.pid) == (10 if may_return else ours)
    os.kill(started.pid, signal.SIGSTOP)  # somebody has, and nobody would have noticed
    supervised.children.promote(started.pid)
    assert os.getpriority(os.PRIO_PROCESS, started.pid) == (0 if may_return else ours)
    supervised.children.send(Go())
    said = drive(exited)
    assert said == [ServerSaid(started.pid, Ready()), ChildExited(Role.SERVER, started.pid, 0, None)]


def test_a_retired_server_is_told_by_a_descriptor_and_is_still_looked_at(
    supervised: Supervised, drive: Drive, python: Python, listener: socket.socket, tmp_path: Path
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    code = SERVER + (
        "from jupyterd.server import retirement; retired = retirement.take(os.environ); say(channel.Ready())\n"
        f"os.read(retired, 8); say(channel.Imported()); open({str(fifo)!r}).read()"
    )
    started = supervised.children.spawn(Spawn(Role.SERVER, python(code)), (listener.fileno(),))
    assert isinstance(started, ChildStarted)
    drive(bool)
    supervised.children.retire(started.pid + 1)  # not this one
    supervised.children.retire(started.pid)
    assert drive(bool) == [ServerSaid(started.pid, Imported())]
    seen = eventually(lambda: (found := supervised.children.inspect(started.pid)).on_disk and found)
    assert str(seen.waits).startswith(f"openat of {fifo} (")
    assert seen.worked_s > 0.0
    supervised.children.signal(Role.SERVER, started.pid, "KILL")  # it is no longer the server
    fifo.write_text("")
    assert drive(exited) == [ChildExited(Role.RETIRED, started.pid, 0, None)]


def test_a_hundred_lives_of_every_role_leak_nothing(
    supervised: Supervised, drive: Drive, open_fds: Callable[[], int]
) -> None:
    before = open_fds()
    for _ in range(100):
        for role in Role:
            supervised.children.spawn(Spawn(role, Command(("/bin/true",), (), "/")), ())
            drive(exited)
    assert open_fds() == before


def test_an_abandoned_one_says_no_more_than_that_it_ended_at_last(
    supervised: Supervised, poller: Poller, drive: Drive, python: Python, open_fds: Callable[[], int]
) -> None:
    before = open_fds()
    old = supervised.children.spawn(Spawn(Role.SAMPLER_RELAY, python("import time; time.sleep(60)")), ())
    assert isinstance(old, ChildStarted)
    supervised.children.abandon(Role.SAMPLER_RELAY, old.pid)
    new = supervised.children.spawn(Spawn(Role.SAMPLER_RELAY, python("print('x')")), ())
    assert isinstance(new, ChildStarted)
    assert drive(exited) == [FrameCame(None), ChildExited(Role.SAMPLER_RELAY, new.pid, 0, None)]
    supervised.children.signal(Role.SAMPLER_RELAY, old.pid, "KILL")  # no longer ours to signal
    os.kill(old.pid, 9)
    ended = [event for callback in poller.wait(20) for event in callback()]
    assert ended == [ChildExited(Role.SAMPLER_RELAY, old.pid, None, "SIGKILL")], "so that it is no longer told"
    assert open_fds() == before


def test_signals_reach_the_one_that_is_meant(supervised: Supervised, drive: Drive, python: Python) -> None:
    started = supervised.children.spawn(Spawn(Role.ENDER, python("import time; time.sleep(60)")), ())
    assert isinstance(started, ChildStarted)
    supervised.children.signal(Role.ENDER, started.pid + 1, "KILL")
    supervised.children.signal(Role.SERVER, started.pid, "KILL")
    supervised.children.signal(Role.ENDER, started.pid, "TERM")
    assert drive(exited) == [ChildExited(Role.ENDER, started.pid, None, "SIGTERM")]
