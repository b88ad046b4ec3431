"""What systemd hears, played by a socket of the test."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sdnotify import SystemdNotifier

from jupyterd.core.effects import Notify
from jupyterd.supervisor.sd_notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@jupyterd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(address.replace("@", "\0"))
        made.settimeout(0.2)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        yield made


@pytest.fixture
def connect(manager: socket.socket) -> Iterator[Callable[[float], Notifier]]:  # noqa: ARG001 - it must listen first
    with contextlib.ExitStack() as stack:

        def made(watchdog_s: float) -> Notifier:
            notifier = Notifier(SystemdNotifier().socket, watchdog_s)
            stack.callback(notifier.close)
            return notifier

        yield made


def heard(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().splitlines()


def test_one_datagram_in_utf_8(manager: socket.socket, connect: Callable[[float], Notifier]) -> None:
    notifier = connect(0)
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.notify(Notify(reloading=True, status="71 °C → warm\nline", extend_timeout_s=12.5))
    reloading, stamp, extend, status = heard(manager)
    assert (reloading, extend, status) == ("RELOADING=1", "EXTEND_TIMEOUT_USEC=12500000", "STATUS=71 °C → warm line")
    assert before <= int(stamp.removeprefix("MONOTONIC_USEC=")) <= before + 5_000_000
    notifier.notify(Notify(ready=True, status="71 °C → warm\nline"))
    assert heard(manager) == ["READY=1"]
    notifier.notify(Notify(status="71 °C → warm\nline"))
    notifier.notify(Notify(stopping=True, status="other"))
    assert heard(manager) == ["STOPPING=1", "STATUS=other"]


def test_watchdog_is_attested_at_half_time_and_only_in_health(
    manager: socket.socket, connect: Callable[[float], Notifier]
) -> None:
    notifier = connect(10.0)
    assert notifier.rest(100.0, healthy=True) == 110.0
    assert heard(manager) == ["WATCHDOG=1"]
    assert notifier.rest(104.0, healthy=True) == 110.0
    assert notifier.rest(105.0, healthy=True) == 115.0
    assert heard(manager) == ["WATCHDOG=1"]
    assert notifier.rest(115.0, healthy=False) == 120.0
    assert notifier.rest(130.0, healthy=False) == 135.0
    with pytest.raises(TimeoutError):
        heard(manager)


def test_a_systemd_that_does_not_read_stops_nobody_and_misses_nothing(
    manager: socket.socket, connect: Callable[[float], Notifier]
) -> None:
    notifier = connect(0)
    most = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text())  # 10 by default; systemd raises it to 512
    sent = [f"{number} " + "x" * 3000 for number in range(most + 5)]
    for text in sent:
        notifier.notify(Notify(status=text))
    notifier.notify(Notify(ready=True))
    lines: list[str] = []
    while lines[-1:] != ["READY=1"]:
        lines += heard(manager)
        notifier.rest(time.monotonic(), healthy=True)
    assert lines == [*(f"STATUS={text}" for text in sent), "READY=1"]


def test_a_systemd_that_is_gone_stops_nobody(manager: socket.socket, connect: Callable[[float], Notifier]) -> None:
    notifier = connect(0)
    manager.close()
    notifier.notify(Notify(ready=True))


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # sdnotify's own, when there is nobody to tell
def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = Notifier(SystemdNotifier().socket, 10.0)
    notifier.notify(Notify(ready=True))
    assert notifier.rest(5.0, healthy=True) is None
