"""Real servers and kernels, run by an ordinary account: root passes every permission test for nothing."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.lone_kernel import LoneKernel, lone_kernel
from support.network import free_port
from support.waiting import eventually

from jupyterd.launch import recorder_process

SERVE = Path(__file__).with_name("serve.py")
HEADERS = {"Authorization": "token t", "Content-Type": "application/json"}
ACCOUNT = 60001 if os.getuid() == 0 else os.getuid()


@dataclass
class Place:
    """A state directory of an ordinary account, and the servers that ran in it."""

    state: Path
    uid: int
    env: dict[str, str]
    servers: list[Server] = field(default_factory=list)

    def popen(self, argv: list[str], **more: Any) -> subprocess.Popen[str]:
        ids: dict[str, Any] = {"user": self.uid, "group": self.uid, "extra_groups": ()} if os.getuid() == 0 else {}
        return subprocess.Popen(argv, env=self.env, cwd=self.state / "home", text=True, **ids, **more)

    def run(self, argv: list[str], timeout: float = 60) -> subprocess.CompletedProcess[str]:
        with self.popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
            out, err = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    def serve(self, *options: str, launcher: str = "detached") -> Server:
        port = free_port()
        log = (self.state / "server.log").open("a")
        argv = [sys.executable, "-I", str(SERVE), str(self.state), str(port), launcher, *options]
        process = self.popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        server = Server(self, process, port)
        self.servers.append(server)
        eventually(lambda: server.get("/api/status"), "a server that answers")
        return server

    @property
    def records(self) -> Path:
        return self.state / "kernels"

    def pid(self, kernel: str) -> int:
        return int(json.loads((self.records / f"{kernel}.pid").read_text())["pid"])

    def log(self) -> str:
        return (self.state / "server.log").read_text()


@dataclass
class Server:
    place: Place
    process: subprocess.Popen[str]
    port: int

    def ask(self, method: str, path: str, body: Any = None, timeout: float = 60) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, HEADERS)
            with connection.getresponse() as answer:
                text = answer.read()
            return answer.status, json.loads(text) if text else None
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        status, answer = self.ask("GET", path)
        assert status == 200, (status, answer)
        return answer

    def new_session(self, kernel: str = "python3", name: str = "a.ipynb") -> tuple[str, str]:
        body = {"path": name, "name": name, "type": "notebook", "kernel": {"name": kernel}}
        status, answer = self.ask("POST", "/api/sessions", body)
        assert status == 201, (status, answer)
        return answer["id"], answer["kernel"]["id"]

    def state_of(self, kernel: str) -> str:
        return str(self.get(f"/api/kernels/{kernel}")["execution_state"])

    def end(self, signum: int = signal.SIGTERM) -> None:
        self.process.send_signal(signum)
        self.process.wait(20)


@pytest.fixture
def place() -> Iterator[Place]:
    base = Path(tempfile.mkdtemp(prefix="jd-", dir="/tmp"))  # short: a socket path has 107 bytes
    (base / "home").mkdir()
    for each in (base, base / "home"):
        os.chown(each, ACCOUNT, ACCOUNT if os.getuid() == 0 else -1)
    name = pwd.getpwuid(os.getuid()).pw_name if os.getuid() else "somebody"
    env = {"HOME": str(base / "home"), "USER": name, "LOGNAME": name, "PATH": os.environ["PATH"]} | {
        "JUPYTER_CONFIG_DIR": str(base / "config"), "JUPYTER_RUNTIME_DIR": str(base / "run"),
        "JUPYTER_DATA_DIR": str(base / "data"), "IPYTHONDIR": str(base / "ipython"),
    }  # fmt: skip
    made = Place(base, ACCOUNT, env)
    yield made
    for server in made.servers:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait(20)
    for file in made.records.glob("*.pid"):
        with contextlib.suppress(ProcessLookupError, ValueError):
            os.killpg(json.loads(file.read_text())["pid"], signal.SIGKILL)
    recorder_process.end(base / "spool")
    for _ in range(20):  # a killed kernel's waiting shell may write its last word meanwhile
        shutil.rmtree(base, ignore_errors=True)
        if not base.exists():
            break
        time.sleep(0.1)


class Notebook:
    """A client of a kernel over its connection file, as the owner of it."""

    def __init__(self, place: Place, kernel: str) -> None:
        from jupyter_client.blocking import BlockingKernelClient  # noqa: PLC0415 - half a second

        self.client = BlockingKernelClient()
        self.client.load_connection_file(str(place.state / "k" / f"kernel-{kernel}.json"))
        self.client.start_channels()
        eventually(self._is_ready, "the kernel answers")

    def _is_ready(self) -> bool:
        try:
            self.client.wait_for_ready(30)
        except RuntimeError:  # no heartbeat for a second: the machine may be busy, or the kernel is being restarted
            return False
        return True

    def run(self, code: str, timeout: float = 30) -> str:
        """Standard output of a cell, or its error."""
        out: list[str] = []

        def take(message: dict[str, Any]) -> None:
            content = message["content"]
            out.append(str(content.get("text") or content.get("evalue") or ""))

        reply = self.client.execute_interactive(code, timeout=timeout, output_hook=take)
        return "".join(out).strip() or str(reply["content"].get("ename", ""))

    def start(self, code: str) -> None:
        self.client.execute(code)

    def close(self) -> None:
        self.client.stop_channels()


@pytest.fixture
def notebook(place: Place) -> Iterator[Callable[[str], Notebook]]:
    opened: list[Notebook] = []

    def attach(kernel: str) -> Notebook:
        opened.append(Notebook(place, kernel))
        return opened[-1]

    yield attach
    for each in opened:
        each.close()


@pytest.fixture
def kernel() -> Iterator[LoneKernel]:
    with lone_kernel() as made:
        yield made
