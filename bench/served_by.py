"""What keeps the server alive in bench/away: jupyterd, Restart=always in a real systemd, supervisord, circus."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import clients
import common
from common import ROOT, Side

_CLONE_NEWNET = 0x40000000
_STEP_S = 0.002
_REST_S = 1.0
_READY_S = 120.0
KNOWN = "-m notebook"


@dataclass(frozen=True, slots=True)
class Running:
    """One side while it serves. `root`: the process whose descendant the server is; `net`: a descriptor of its network
    namespace, None for this one.
    """

    name: str
    port: int
    tls: bool
    root: int
    home: Path
    again: Callable[[Running], None]
    """How to restart the server on purpose."""
    net: int | None = None

    def enter(self) -> None:
        """Move this thread into that side's network namespace (setns(2))."""
        if self.net is not None:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.setns(self.net, _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")

    def server(self) -> int:
        """The pid of the Jupyter server."""
        told = common.told(self.home).get("server")
        if told:
            return int(told["pid"])
        for pid in common.descendants(self.root):
            with contextlib.suppress(OSError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if KNOWN in line and not line.startswith(("/bin/sh", "/sbin")):
                    return pid
        raise LookupError(f"{self.name}: no Jupyter server below process {self.root}")

    def kill(self) -> None:
        """Send SIGKILL to the server."""
        os.kill(self.server(), signal.SIGKILL)

    def restart(self) -> None:
        """Restart the server on purpose; returns when there is another server process."""
        before = self.server()
        self.again(self)
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            with contextlib.suppress(LookupError):
                if self.server() != before:
                    return
            time.sleep(_STEP_S)
        raise TimeoutError(f"{self.name}: the same server after {_READY_S:.0f} s")

    def refuses(self) -> bool:
        """Whether a new connection is refused now. A full accept queue does not count as refused."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1.0).close()
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
        return False

    def until_answer(self, began: float, give_up_s: float = _READY_S) -> float:
        """Seconds from `began` to the first 200. TimeoutError after `give_up_s`. Asks in a thread of its own, which may
        move to another network namespace.
        """
        found: list[float] = []

        def look() -> None:
            self.enter()
            while time.monotonic() < began + give_up_s:
                if clients.ask(self) is None:
                    found.append(time.monotonic() - began)
                    return
                time.sleep(_STEP_S)

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        thread.join(give_up_s)
        if not found:
            raise TimeoutError(f"{self.name}: no answer for {give_up_s:.0f} s")
        return found[0]

    def wait_ready(self) -> None:
        """Wait until the server answers and, if there is a spare server, until that is idle."""
        self.until_answer(time.monotonic())
        deadline = time.monotonic() + _READY_S
        while self.name == "jupyterd" and not _is_warm(self.home):
            if time.monotonic() > deadline:
                raise TimeoutError("jupyterd has no spare")
        time.sleep(_REST_S)


def _is_warm(home: Path) -> bool:
    """Whether the spare server has used no processor time for a second."""
    spare = common.told(home).get("spare")
    if not spare:
        time.sleep(0.1)
        return False
    used = []
    for _ in range(2):
        used.append(_ran(spare["pid"]))
        time.sleep(_REST_S)
    return used[0] == used[1] != ""


def _ran(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/schedstat").read_text().split()[0]
    return ""


# --- the four -------------------------------------------------------------------------------------------------

Start = Callable[[], AbstractContextManager[Running]]
"""Starts one side."""


def sides(python: str, stack: ExitStack, only: str | None) -> list[Start]:
    """A function for each side that starts it; what they need exists as long as `stack`."""
    wanted = [only] if only else ["jupyterd", "systemd", "supervisord", "circus"]
    homes = {name: stack.enter_context(common.home()) for name in wanted}
    binaries = Path()
    if {"supervisord", "circus"} & set(wanted):
        binaries = common.peers(python, stack.enter_context(common.home()) / "peers")
    return [_side(name, python, homes[name], binaries, stack) for name in wanted]


def _side(name: str, python: str, home: Path, binaries: Path, stack: ExitStack) -> Start:
    port = common.free_port()
    stock = common.notebook(python, port)
    match name:
        case "jupyterd":
            side = Side(name, common.jupyterd(python, port), tls=True)
            return partial(_process, side, port, home, partial(_change_a_setting, home))
        case "systemd" if has_machines():
            machine = _machine(stack, python)
            unit = f"[Service]\nUser=bench\nWorkingDirectory=/home/bench\nExecStart={' '.join(stock)}\nRestart=always\n"
            machine.write("/etc/systemd/system/notebook.service", unit)
            return partial(_unit, machine, port, home)
        case "systemd":
            side = Side("shell loop", common.shell_loop(stock), tls=False)
        case "supervisord":
            side = Side(name, common.supervisord(binaries, home, stock), tls=False)
        case _:
            side = Side(name, common.circus(binaries, home, stock), tls=False)
    return partial(_process, side, port, home, _term)


@contextmanager
def _process(side: Side, port: int, home: Path, again: Callable[[Running], None]) -> Iterator[Running]:
    with common.started(side, home) as process:
        yield Running(side.name, port, side.tls, process.pid, home, again)


def _term(running: Running) -> None:
    os.kill(running.server(), signal.SIGTERM)


def _change_a_setting(home: Path, running: Running) -> None:
    """Change a setting that needs a new server process, then do what `jupyterd reload` would do."""
    file = home / ".config" / "jupyterd" / "jupyterd.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    before = file.exists() and "true" in file.read_text()
    file.write_text(f"[server]\nhidden_files = {'false' if before else 'true'}\n")
    os.kill(running.root, signal.SIGHUP)


def has_machines() -> bool:
    """Whether a real systemd can be booted here."""
    return os.geteuid() == 0 and shutil.which("systemd-nspawn") is not None


def _machine(stack: ExitStack, python: str) -> Any:  # noqa: ANN401 - of the tests' own
    """A booted container with the environment to measure, and an account."""
    sys.path.insert(0, str(ROOT / "tests"))
    from system.machine import Machine  # noqa: PLC0415 - needs root and a path of its own

    here = Path("/var/tmp") / f"jupyterd-bench-machine-{os.getpid()}"  # noqa: S108 - ours alone, by name and pid
    (here / "none").mkdir(parents=True)
    machine = Machine(here, here / "none", binds=tuple({ROOT, Path(python).parents[1]}))
    stack.callback(machine.power_off)
    machine.boot()
    machine.run(f"useradd --uid {common.UID} --create-home bench 2>&1")
    return machine


def services(python: str, stack: ExitStack) -> list[Service]:
    """A unit of jupyterd and one of a stock server in a real systemd, both started."""
    machine = _machine(stack, python)
    ports = [common.free_port() for _ in range(2)]
    ours = (ROOT / "systemd" / "jupyterd.service").read_text()
    run = " ".join(common.jupyterd(python, ports[0]))
    account = "[Service]\nUser=bench\nReadWritePaths=/home/bench\n"
    machine.write("/etc/systemd/system/jupyterd.service", ours.replace("/usr/local/bin/jupyterd run", run))
    machine.write("/etc/systemd/system/jupyterd.service.d/account.conf", account)
    stock = " ".join(common.notebook(python, ports[1]))
    theirs = f"{account}WorkingDirectory=/home/bench\nExecStart={stock}\nRestart=always\n"
    machine.write("/etc/systemd/system/notebook.service", theirs)
    machine.run("loginctl enable-linger bench && systemctl daemon-reload")
    machine.run("systemctl start jupyterd notebook", timeout_s=_READY_S)
    net = os.open(f"/proc/{machine.leader}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    stack.callback(os.close, net)
    return [
        Service(machine, unit, Running(name, port, tls, machine.leader, Path("/nowhere"), lambda _: None, net))
        for unit, name, port, tls in (
            ("jupyterd", "jupyterd.service", ports[0], True), ("notebook", "Restart=always", ports[1], False),
        )
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Service:
    """A unit of a real systemd, and how its server is asked."""

    machine: Any
    unit: str
    running: Running

    def restart(self) -> None:
        """`systemctl restart`; returns when the unit is active."""
        self.machine.run(f"systemctl restart {self.unit}", timeout_s=_READY_S)

    def kill(self) -> None:
        """SIGKILL to the main process: jupyterd's supervisor, or the stock server. Returns when there is another."""
        show = f"systemctl show -P MainPID {self.unit}"
        before = self.machine.run(show).strip()
        self.machine.run(f"kill -KILL {before}")
        deadline = time.monotonic() + _READY_S
        while self.machine.run(show).strip() in {before, "0"}:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.unit} is not started again")


@contextmanager
def _unit(machine: Any, port: int, home: Path) -> Iterator[Running]:  # noqa: ANN401 - of the tests' own
    machine.run("systemctl daemon-reload && systemctl start notebook")
    net = os.open(f"/proc/{machine.leader}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield Running(
            "Restart=always", port, tls=False, root=machine.leader, home=home,
            again=lambda _: machine.run("systemctl restart notebook", timeout_s=100), net=net,
        )  # fmt: skip
    finally:
        os.close(net)
        with contextlib.suppress(AssertionError):  # Ctrl-C may have ended the container too
            machine.run("systemctl kill --signal=KILL notebook; systemctl stop notebook", check=False, timeout_s=100)
