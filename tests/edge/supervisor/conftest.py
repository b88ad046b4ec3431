"""Real kernel objects for the supervisor's deeds: a poller to wait on, programs to start, servers to probe."""

from __future__ import annotations

import datetime as dt
import hashlib
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import authority

from jupyterd.core.events import Event
from jupyterd.protocol.plan import Command
from jupyterd.supervisor.poller import Poller

PATIENCE_S = 20.0


@pytest.fixture
def poller() -> Iterator[Poller]:
    made = Poller()
    yield made
    made.close()


Drive = Callable[..., list[Event]]


@pytest.fixture
def drive(poller: Poller) -> Drive:
    """Turn the poller until `enough(events)`, and give the events."""

    def until(enough: Callable[[list[Event]], bool], events: list[Event] | None = None) -> list[Event]:
        came = list(events or [])
        give_up = time.monotonic() + PATIENCE_S
        while not enough(came):
            now = time.monotonic()
            assert now < give_up, f"not enough in {PATIENCE_S} s: {came}"
            timer = poller.deadline()
            for then in poller.wait(max(0.0, min(give_up, timer if timer is not None else give_up) - now)):
                came += then()
        return came

    return until


@pytest.fixture
def python() -> Callable[..., Command]:
    """A Python program as a Command."""

    def command(code: str, *argv: str, **env: str) -> Command:
        return Command((sys.executable, "-I", "-c", code, *argv), tuple(env.items()), "/")

    return command


@pytest.fixture
def open_fds() -> Callable[[], int]:
    return lambda: len(list(Path("/proc/self/fd").iterdir()))


@dataclass(frozen=True)
class Pair:
    file: Path
    sha256: str

    def context(self) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(self.file)
        return made


@pytest.fixture(scope="session")
def make_pair(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Pair]:
    def make() -> Pair:
        made = authority.make("localhost", names=("localhost",), now=dt.datetime.now(dt.UTC))
        file = tmp_path_factory.mktemp("pair") / "pair.pem"
        file.write_bytes(made.key_pem() + made.pem)
        return Pair(file, hashlib.sha256(made.der).hexdigest())

    return make


@pytest.fixture(scope="session")
def pair(make_pair: Callable[[], Pair]) -> Pair:
    return make_pair()
