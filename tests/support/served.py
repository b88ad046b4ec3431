"""`jupyterd run` as an ordinary account in a terminal of its own: the banner is read from it as a person would."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.network import free_port
from support.waiting import eventually

START_S, STOP_S = 90.0, 60.0
COMMAND = (sys.executable, "-I", "-m", "jupyterd")
UID = 61234
"""Of the ordinary account when the tests run as root: it needs no entry in the password database."""


class Served:
    """One running supervisor. Owns its process and the terminal."""

    def __init__(self, home: Path, *options: str, terminal: bool = True, port: int | None = None) -> None:
        self.home = home
        self.uid = os.getuid() or UID
        self.port = port or free_port()
        self._master, slave = os.openpty() if terminal else os.pipe()
        os.fchown(slave, self.uid, -1)
        self._said = bytearray()
        argv = [*COMMAND, "run", "--port", str(self.port), *options]
        self.process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, start_new_session=True, **self.account()
        )  # fmt: skip
        os.close(slave)
        # Somebody must read a terminal; a thread, because the browser is driven meanwhile.
        threading.Thread(target=self._read, daemon=True).start()

    def account(self) -> dict[str, Any]:
        """For subprocess: as the account that serves."""
        environ = {"HOME": str(self.home), "PATH": "/usr/bin:/bin", "TERM": "xterm", "LANG": "C.UTF-8"}
        other = {"user": self.uid, "group": self.uid, "extra_groups": []} if os.geteuid() == 0 else {}
        return {"env": environ, "cwd": self.home, **other}

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # EIO: the other end of a terminal is closed
                return
            if not data:
                return
            self._said += data

    @property
    def said(self) -> str:
        """All that the terminal shows until now, escape sequences included."""
        return self._said.decode(errors="replace")

    @property
    def link(self) -> str:
        """The first login link of the banner."""

        def shown() -> re.Match[str] | None:
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.said}"
            return re.search(r"https?://\S+#token=\S+", self.said)

        return eventually(shown, "a login link", START_S)[0]

    def verb(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Another `jupyterd` of the same account."""
        return subprocess.run(
            [*COMMAND, *argv], capture_output=True, text=True, timeout=30, check=False, **self.account()
        )

    def status(self) -> dict[str, Any]:
        """`jupyterd status --json`."""
        found: dict[str, Any] = json.loads(self.verb("status", "--json").stdout)
        return found

    def stop(self) -> None:
        """Ctrl-C's signal, and the kernels with it; SIGKILL to what is left."""
        self.process.send_signal(signal.SIGINT)  # a no-op when it has been waited for
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            os.close(self._master)


@contextmanager
def served(*options: str, terminal: bool = True, port: int | None = None) -> Iterator[Served]:
    """A server with a home of its own; notebooks run in the environment of these tests, which has ipykernel."""
    home = Path(tempfile.mkdtemp(prefix="jupyterd-browser-"))
    if os.geteuid() == 0:
        os.chown(home, UID, UID)
    try:
        here = Served(home, "--kernels-environment", sys.prefix, *options, terminal=terminal, port=port)
        try:
            yield here
        finally:
            here.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)
