"""The whole supervisor with the real core, as a process of its own, over a small server that can be made sick."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from support.network import free_port, no_trust
from support.waiting import eventually

from jupyterd.core import event_log, step
from jupyterd.core.events import Bound, Started
from jupyterd.protocol import plan
from jupyterd.protocol.plan import Certificate, Command, Listen, Plan, Target
from jupyterd.protocol.policy import Policy
from jupyterd.protocol.status import NAME

PATIENCE_S = 30.0

SERVER = """
from jupyterd.linux.proc import die_with_parent
die_with_parent()
import os, select, signal, socket, ssl, sys
from jupyterd.protocol import server_channel as channel
line = socket.socket(fileno=int(os.environ.pop(channel.CHANNEL)))
listeners = [socket.socket(fileno=int(fd)) for fd in os.environ.pop(channel.LISTEN).split(",")]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
if os.environ.pop(channel.SPARE, None):
    line.sendall(channel.encode(channel.Imported()))
    open("/proc/self/comm", "w").write("warm")
    assert isinstance(channel.decode(line.recv(4096).strip()), channel.Go)
print("<6>the server runs", flush=True)
line.sendall(channel.encode(channel.Ready()))
while True:
    for listener in select.select(listeners, [], [])[0]:
        try:
            connection, _ = listener.accept()
            connection.settimeout(5)
            with context.wrap_socket(connection, server_side=True) as tls:
                tls.recv(4096)
                tls.sendall(b"HTTP/1.1 200 OK\\r\\nX-Pid: %d\\r\\nContent-Length: 2\\r\\n\\r\\n{}" % os.getpid())
        except OSError:
            continue
"""


@dataclass
class Supervised:
    process: subprocess.Popen[str]
    plan: Plan
    manager: socket.socket

    def status(self) -> dict[str, Any]:
        """The snapshot; {} before the first."""
        try:
            document: dict[str, Any] = json.loads((Path(self.plan.runtime_dir) / NAME).read_bytes())
        except FileNotFoundError:
            return {}
        return document

    def until(self, happened: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The first status in which it has happened."""

        def status() -> dict[str, Any] | None:
            assert self.process.poll() is None, "the supervisor ended"
            return found if happened(found := self.status()) else None

        return eventually(status, "this status", PATIENCE_S, every_s=0.02)

    def heard(self, wanted: str) -> list[str]:
        """What systemd was told until `wanted` came."""
        lines: list[str] = []
        while wanted not in lines:
            lines += self.manager.recv(65536).decode().splitlines()
        return lines

    def get(self) -> bytes:
        """What a browser gets."""
        listen = self.plan.listen[0]
        with (
            socket.create_connection((listen.host, listen.port), PATIENCE_S) as plain,
            no_trust().wrap_socket(plain) as tls,
        ):
            tls.sendall(b"GET / HTTP/1.1\r\n\r\n")
            return tls.recv(4096)


def serving(status: dict[str, Any]) -> bool:
    return status.get("state") == "serving"


@pytest.fixture
def start(tmp_path: Path, pair) -> Iterator[Callable[..., Supervised]]:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(PATIENCE_S)
    started: list[Supervised] = []
    port = free_port()

    def run(*before: str, program: tuple[str, ...] = ("-m", "jupyterd.supervisor"), **changes: object) -> Supervised:
        env = (("PATH", os.environ["PATH"]),)
        server = Command((sys.executable, "-I", "-c", SERVER, str(pair.file)), env, "/")
        answer = tmp_path / "answer.json"
        made = Plan(
            version="1", account="a", mode="foreground", state_dir=str(tmp_path), runtime_dir=str(tmp_path),
            listen=(Listen("127.0.0.1", port),), targets=(Target("localhost", "127.0.0.1", port, 0, needed=True),),
            urls=(f"https://localhost:{port}/",), base_url="/",
            certificate=Certificate(
                file=str(pair.file), sha256=pair.sha256, not_before=time.time() - 86400,
                not_after=time.time() + 86400 * 90, names=("localhost",), self_signed=True,
            ),
            server=server, server_key="1", live_key="1", sampler=None,
            planner=Command(("/bin/cat", str(answer)), env, "/"), ender=Command(("/bin/true",), env, "/"),
            policy=Policy(probe_every_s=0.2, probe_retry_s=0.1, suspect_after_s=0.5, hang_after_s=1.5),
        )  # fmt: skip
        made = replace(made, **changes)  # type: ignore[arg-type]
        answer.write_bytes(plan.encode(made))
        fds = [os.memfd_create(name, 0) for name in ("plan", "banner")]
        for fd, content in zip(fds, (plan.encode(made), b"come in\n"), strict=True):
            os.write(fd, content)
        argv = [
            *before,
            sys.executable,
            "-I",
            *program,
            "--plan-fd",
            str(fds[0]),
            "--banner-fd",
            str(fds[1]),
        ]
        process = subprocess.Popen(
            argv, env={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000", "INVOCATION_ID": "x"},
            pass_fds=fds, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd="/",
        )  # fmt: skip
        for fd in fds:
            os.close(fd)
        started.append(Supervised(process, made, manager))
        return started[-1]

    yield run
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate()
    manager.close()


Start = Callable[..., Supervised]


def end(supervised: Supervised) -> str:
    """Stop it cleanly; gives what it said."""
    supervised.process.send_signal(signal.SIGTERM)
    _, said = supervised.process.communicate(timeout=PATIENCE_S)
    assert supervised.process.returncode == 0
    return said


def test_it_serves_says_so_and_ends_in_order(start: Start) -> None:
    supervised = start()
    status = supervised.until(serving)
    assert "READY=1" in supervised.heard("READY=1")
    assert supervised.heard("WATCHDOG=1")
    assert b"200 OK" in supervised.get()
    environ = Path(f"/proc/{status['server']['pid']}/environ").read_bytes()
    assert b"NOTIFY_SOCKET" not in environ
    assert b"INVOCATION_ID" not in environ
    fds = {str(each.readlink()) for each in Path(f"/proc/{status['server']['pid']}/fd").iterdir()}
    assert {each for each in fds if "memfd" in each or "eventpoll" in each or "pidfd" in each} == {
        "/memfd:jupyterd-beat (deleted)"
    }
    pidfd = os.pidfd_open(status["server"]["pid"])
    said = end(supervised)
    with pytest.raises(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, 0)
    os.close(pidfd)
    assert "come in\n" in said
    assert "server | the server runs\n" in said
    assert "STOPPING=1" in supervised.heard("STOPPING=1")


def test_a_killed_server_is_replaced_and_nobody_is_refused(start: Start) -> None:
    supervised = start()
    first = supervised.until(serving)["server"]["pid"]
    os.kill(first, signal.SIGKILL)
    for _ in range(20):
        assert b"200 OK" in supervised.get()
    second = supervised.until(lambda status: serving(status) and status["restarts"] == 1)["server"]["pid"]
    assert second != first
    end(supervised)


def test_a_hung_server_is_replaced(start: Start) -> None:
    supervised = start()
    first = supervised.until(serving)["server"]["pid"]
    os.kill(first, signal.SIGSTOP)
    supervised.until(lambda status: serving(status) and status["server"]["pid"] != first)
    assert "it was stopped (state T)" in end(supervised)


def is_warm(spare: dict[str, int] | None) -> bool:
    try:
        return spare is not None and Path(f"/proc/{spare['pid']}/comm").read_text() == "warm\n"
    except FileNotFoundError:  # it ended since this status was written
        return False


def test_a_spare_takes_over_and_another_is_made(start: Start) -> None:
    supervised = start(policy=Policy(probe_every_s=0.2, probe_retry_s=0.1))
    before = supervised.until(lambda status: serving(status) and is_warm(status["spare"]))
    supervised.get()  # the supervisor has taken in what the spare said
    os.kill(before["server"]["pid"], signal.SIGKILL)
    after = supervised.until(lambda status: serving(status) and status["server"] == before["spare"])
    assert b"X-Pid: %d" % after["server"]["pid"] in supervised.get()
    supervised.until(lambda status: status["spare"] and status["spare"] != before["spare"])
    assert "the spare takes over" in end(supervised)


def test_a_reload_that_changes_nothing_is_told_to_systemd(start: Start) -> None:
    supervised = start()
    server = supervised.until(serving)["server"]
    supervised.heard("READY=1")
    supervised.process.send_signal(signal.SIGHUP)
    lines = supervised.heard("RELOADING=1")
    if "READY=1" not in lines[lines.index("RELOADING=1") :]:
        supervised.heard("READY=1")
    assert supervised.status()["server"] == server
    end(supervised)


def test_a_reload_to_one_address_of_all_takes_it_from_the_server_that_has_them_all(
    start: Start, tmp_path: Path
) -> None:
    every, one = Listen("0.0.0.0", port := free_port()), Listen("127.0.0.1", port)
    fast = Policy(probe_every_s=0.2, probe_retry_s=0.1, bind_retry_s=0.2)
    target = Target("127.0.0.1", "127.0.0.1", port, 0, needed=True)
    supervised = start(listen=(every,), targets=(target,), policy=fast)
    before = supervised.until(lambda status: serving(status) and status["spare"])
    answer = tmp_path / "answer.json"
    asked = plan.decode(answer.read_bytes())
    assert isinstance(asked, plan.Plan)
    urls = (f"https://127.0.0.1:{port}/",)
    answer.write_bytes(plan.encode(replace(asked, listen=(one,), urls=urls, proofs=((0,),))))
    supervised.heard("READY=1")
    supervised.process.send_signal(signal.SIGHUP)
    lines = supervised.heard("RELOADING=1")
    if "READY=1" not in lines[lines.index("RELOADING=1") :]:
        supervised.heard("READY=1")
    after = supervised.until(lambda status: status["reloads"] == 1)
    assert serving(after) and after["server"] != before["server"], "it is over when the new addresses are served"
    assert after["urls"] == [*urls]
    supervised.until(lambda status: status["spare"] and status["spare"] != before["spare"])
    assert supervised.status()["items"] == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), 5)
    end(supervised)


def test_a_killed_supervisor_leaves_no_server(start: Start) -> None:
    supervised = start()
    pidfd = os.pidfd_open(supervised.until(serving)["server"]["pid"])
    supervised.process.kill()
    assert select.select([pidfd], [], [], PATIENCE_S)[0], (
        "the server did not end"
    )  # readable when it has, pidfd_open(2)
    os.close(pidfd)


def test_a_busy_port_is_waited_for(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        supervised = start(
            listen=(Listen("127.0.0.1", port),),
            targets=(Target("localhost", "127.0.0.1", port, 0, needed=True),),
            policy=Policy(bind_retry_s=0.2, probe_every_s=0.2),
        )
        holder = f"pid {os.getpid()}"
        supervised.until(lambda status: status.get("state") == "waiting" and holder in json.dumps(status))
    supervised.until(serving)
    end(supervised)


def test_a_second_interrupt_ends_a_server_that_ignores_term(start: Start, pair) -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SERVER
    supervised = start(
        policy=Policy(stop_timeout_s=600), server=Command((sys.executable, "-I", "-c", deaf, str(pair.file)), (), "/")
    )
    supervised.until(serving)
    supervised.process.send_signal(signal.SIGINT)
    supervised.until(lambda status: status["state"] == "stopping")
    supervised.process.send_signal(signal.SIGINT)
    supervised.process.communicate(timeout=PATIENCE_S)
    assert supervised.process.returncode == 0


def test_as_the_first_process_of_a_container_it_leaves_no_zombies(start: Start, pair) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a process namespace: sudo ./check")
    orphan = "import os\nfor _ in range(5):\n if os.fork() == 0:\n  os.fork(); os._exit(0)\n os.wait()\n"
    supervised = start(
        "/usr/bin/unshare", "--pid", "--fork", "--kill-child", "--mount-proc",
        server=Command((sys.executable, "-I", "-c", orphan + SERVER, str(pair.file)), (), "/"),
        policy=Policy(spare=False),
    )  # fmt: skip
    assert supervised.until(serving)["supervisor"]["pid"] == 1
    outer = int(Path(f"/proc/{supervised.process.pid}/task/{supervised.process.pid}/children").read_text())
    own = Path(f"/proc/{outer}/task/{outer}/children")
    eventually(lambda: len(own.read_text().split()) <= 1, "no zombies", PATIENCE_S)
    os.kill(outer, signal.SIGTERM)
    supervised.process.communicate(timeout=PATIENCE_S)
    assert supervised.process.returncode == 0


@pytest.mark.slow
def test_half_a_minute_of_a_crash_loop_says_little_and_heals(start: Start, pair, tmp_path: Path) -> None:
    cause = tmp_path / "cause"
    cause.touch()
    crash = f"import os, sys\nif os.path.exists({str(cause)!r}): sys.exit('it crashes')\n"
    supervised = start(
        server=Command((sys.executable, "-I", "-c", crash + SERVER, str(pair.file)), (), "/"),
        policy=Policy(probe_every_s=0.2, probe_retry_s=0.1),
    )
    over = time.monotonic() + 30.0
    while time.monotonic() < over:
        assert supervised.process.poll() is None
        assert not serving(supervised.status())
        time.sleep(1.0)
    before = supervised.until(lambda status: status["restarts"] >= 4)
    assert "next start at" in before["status"] or "Starting" in before["status"], before["status"]
    cause.unlink()
    supervised.until(serving)
    said = end(supervised).splitlines()
    crashes = [line for line in said if "it crashes" in line]
    assert 4 <= len(crashes) <= 9, said
    assert len(said) <= 40, said


@pytest.mark.slow
def test_a_stolen_port_that_is_given_back_is_served_within_seconds(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as thief:
        port = thief.getsockname()[1]
        supervised = start(
            listen=(Listen("127.0.0.1", port),), targets=(Target("localhost", "127.0.0.1", port, 0, needed=True),),
            policy=Policy(),
        )  # fmt: skip
        supervised.until(lambda status: status.get("state") == "waiting")
    supervised.until(serving)  # within PATIENCE_S: it looks often enough
    end(supervised)


def logged(said: str) -> event_log.EventLog:
    """From the file that the terminal names."""
    (line,) = [line.strip() for line in said.splitlines() if line.strip().startswith("see /")]
    return event_log.decode(Path(line.removeprefix("see ")).read_text())


def test_sigusr2_writes_down_events_that_replay_to_the_same_world(start: Start) -> None:
    supervised = start()
    supervised.until(serving)
    supervised.process.send_signal(signal.SIGUSR2)
    log = logged(end(supervised))
    assert isinstance(log.entries[0].event, Started)
    world, _ = event_log.replay(log, step.step)
    assert world == log.end
    assert world.state == "serving"
    assert os.environ["PATH"] not in event_log.encode(log.start, (), log.end)


CRASHES = """
import sys
from jupyterd.core import step as core
from jupyterd.core.events import Bound
from jupyterd.supervisor.main import main

class Faulty:
    start, deadline, healthy = map(staticmethod, (core.start, core.deadline, core.healthy))

    def step(self, world, event, now, jitter):
        if isinstance(event, Bound):
            raise RuntimeError("a fault")
        return core.step(world, event, now, jitter)

main(sys.argv[1:], Faulty())
"""


def test_a_crash_writes_down_the_events_that_led_to_it(start: Start) -> None:
    supervised = start(program=("-c", CRASHES))
    _, said = supervised.process.communicate(timeout=PATIENCE_S)
    assert supervised.process.returncode == 1
    assert "RuntimeError: a fault" in said
    log = logged(said)
    assert [type(each.event) for each in log.entries] == [Started, Bound]
    assert event_log.replay(replace(log, entries=log.entries[:-1]), step.step)[0] == log.end
