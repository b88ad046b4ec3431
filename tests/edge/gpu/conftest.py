"""The real pynvml over a fake driver library, in a process of its own as always."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import fake_nvml

from jupyterd.protocol import gpu_frames
from jupyterd.protocol.gpu_frames import Frame

STEPPER = Path(__file__).with_name("stepper.py")


@dataclass
class Driver:
    """The fake in `directory`; `root` is where sysfs is looked for."""

    directory: Path
    root: Path

    @property
    def records(self) -> Path:
        """Of kernels."""
        return self.root / "kernels"

    @property
    def sessions(self) -> Path:
        """The server's data base."""
        return self.root / "sessions.db"

    def session(self, kernel: str, path: str) -> None:
        """A notebook's session as jupyter_server keeps it."""
        with closing(sqlite3.connect(self.sessions)) as opened, opened:
            opened.execute("CREATE TABLE IF NOT EXISTS session (session_id, path, name, type, kernel_id)")
            opened.execute("DELETE FROM session WHERE kernel_id = ?", (kernel,))
            opened.execute("INSERT INTO session VALUES ('s', ?, '', 'notebook', ?)", (path, kernel))

    def say(self, lines: Mapping[str, object]) -> None:
        fake_nvml.write(self.directory, {"log": self.directory / "log", **lines})

    def has(self, *gpus: Mapping[str, object], **lines: object) -> None:
        """`lines` with "__" for a dot: error__nvmlInitWithFlags=9."""
        own = {name.replace("__", "."): value for name, value in lines.items()}
        self.say({"count": len(gpus), **{name: value for each in gpus for name, value in each.items()}, **own})

    def calls(self) -> list[str]:
        """What was asked since the last time this was asked."""
        log = self.directory / "log"
        said = log.read_text("ascii").splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return said


@dataclass
class Stepper:
    process: subprocess.Popen[str]
    again_at: float | None = None
    fresh: bool = False

    def beat(self, now: float) -> Frame:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{now}\n")
        self.process.stdin.flush()
        frame, self.again_at, self.fresh = json.loads(self.process.stdout.readline())
        return gpu_frames.decode(frame)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_nvml.build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def driver(library: Path, tmp_path: Path) -> Driver:
    directory = tmp_path / "driver"
    directory.mkdir()
    (directory / library.name).hardlink_to(library)
    return Driver(directory, tmp_path)


@pytest.fixture
def stepper(driver: Driver) -> Iterator[Stepper]:
    command = [sys.executable, "-I", str(STEPPER), str(driver.root), str(driver.records), str(driver.sessions)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=fake_nvml.environment(driver.directory)
    ) as process:
        yield Stepper(process)
        process.kill()
