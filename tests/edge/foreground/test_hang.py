"""A real Jupyter server under the real supervisor, and an extension that keeps its event loop from turning."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.network import no_trust
from support.served import UID, Served, served
from support.waiting import eventually

NAP_S = 10.0
LOAD_S = 15.0
"""Longer than a silent server is given."""
PATIENCE_S = 120.0
EXTENSION = """
import threading
import time
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler

class Busy(JupyterHandler):
    @allow_unauthenticated
    def get(self, what):
        if what == "nap":
            time.sleep(float(self.get_argument("s")))
        else:
            for_ever()
        self.finish("done")

def for_ever():
    lock = threading.Lock()  # not a busy loop: on a machine that others keep busy, that may pass for a slow server
    lock.acquire()
    lock.acquire()

def _load_jupyter_server_extension(app):
    app.web_app.add_handlers(".*$", [("/busy/(nap|spin)", Busy)])
"""


@pytest.fixture
def server() -> Iterator[Served]:
    there = Path(tempfile.mkdtemp(prefix="jupyterd-busy-"))
    there.chmod(0o755)
    (there / "busy.py").write_text(EXTENSION)
    config = f"import sys\nsys.path.insert(0, {str(there)!r})\nc.ServerApp.jpserver_extensions = {{'busy': True}}\n"
    (there / "jupyter_server_config.py").write_text(config)
    if os.geteuid() == 0:
        os.chown(there, UID, UID)
    try:
        with served("--no-lab", "--jupyter-config-dir", str(there)) as here:
            assert here.link
            yield here
    finally:
        shutil.rmtree(there)


def ask(server: Served, path: str) -> int:
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=PATIENCE_S, context=no_trust())
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def spin(server: Served) -> None:
    with contextlib.suppress(OSError):  # never answered
        ask(server, "/busy/spin")


@contextlib.contextmanager
def every_processor_busy() -> Iterator[None]:
    argv = [sys.executable, "-I", "-S", "-c", "while True: pass"]
    busy = [subprocess.Popen(argv) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for each in busy:
            each.kill()
            each.wait(10)


def test_work_on_every_processor_is_no_hang(server: Served) -> None:
    first = server.status()["server"]["pid"]
    until = time.monotonic() + LOAD_S
    with every_processor_busy():
        while time.monotonic() < until:
            assert ask(server, "/api") == 200
            time.sleep(0.5)
        assert server.status()["server"]["pid"] == first, server.said
    assert "was replaced" not in server.said


def test_ten_seconds_are_no_hang_and_for_ever_is_one(server: Served) -> None:
    first = server.status()["server"]["pid"]
    assert ask(server, f"/busy/nap?s={NAP_S}") == 200
    assert ask(server, "/api") == 200
    assert server.status()["server"]["pid"] == first, server.said

    threading.Thread(target=spin, args=(server,), daemon=True).start()
    eventually(lambda: server.status()["server"]["pid"] != first, "another server", PATIENCE_S)
    assert ask(server, "/api") == 200
    eventually(lambda: "serving https" in server.said.rpartition("in for_ever")[2], "it says so", PATIENCE_S)
    told = server.said
    hung, replaced = told.index("in for_ever"), told.index("serving https", told.index("in for_ever"))
    assert "did not answer on any address" in told, told
    assert hung < replaced
    eventually(lambda: server.status()["state"] == "serving", "it serves", PATIENCE_S)
