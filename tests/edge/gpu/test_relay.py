"""The relay between supervisor and sampler: real processes, as in a container (detached), over the fake driver."""

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
from pathlib import Path

import pytest
from support import fake_nvml
from support.fake_nvml import gpu

from jupyterd.gpu.frame_server import Readers
from jupyterd.launch import sampler_process, sampler_relay
from jupyterd.linux import proc
from jupyterd.protocol import gpu_frames
from jupyterd.protocol.gpu_frames import Frame
from jupyterd.protocol.sampler_lock import SamplerArguments, SamplerPaths

from .conftest import Driver

PATIENCE_S = 60
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def places(tmp_path: Path) -> SamplerPaths:
    return SamplerPaths(tmp_path / "gpu.lock", tmp_path / "run" / "gpu.sock")


def arguments(places: SamplerPaths, every_s: float = 0.2) -> SamplerArguments:
    return SamplerArguments(every_s, paths=places, version="1")


@pytest.fixture
def start(driver: Driver, places: SamplerPaths) -> Iterator[Start]:
    driver.has(gpu(0))
    started: list[subprocess.Popen[bytes]] = []

    def run(every_s: float = 0.2) -> subprocess.Popen[bytes]:
        env = {**fake_nvml.environment(driver.directory), proc.PARENT: str(os.getpid())}
        argv = sampler_relay.argv(arguments(places, every_s), as_unit=False)
        started.append(subprocess.Popen(argv, stdout=subprocess.PIPE, env=env))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    sampler_process.end(places.lock)


def read_until(process: subprocess.Popen[bytes], wanted: Callable[[Frame], bool]) -> Frame:
    assert process.stdout is not None
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        assert select.select([process.stdout], [], [], PATIENCE_S)[0], "no frame"
        frame = gpu_frames.decode(process.stdout.readline())
        if wanted(frame):
            return frame
    raise AssertionError("another frame")


def of_sampler(frame: Frame) -> bool:
    return frame.pid is not None


def running(places: SamplerPaths) -> int | None:
    found = sampler_process.find(places.lock)
    if found is None:
        return None
    os.close(found.pidfd)
    return found.owner.pid


def test_the_sampler_outlives_the_relay_and_the_next_one_finds_it(start: Start, places: SamplerPaths) -> None:
    first = start()
    frame = read_until(first, of_sampler)
    assert frame.gpus[0].uuid.startswith("GPU-")
    assert frame.pid == running(places) != first.pid
    assert Path(f"/proc/{first.pid}/comm").read_text() == "cat\n", "small while all is well"
    assert places.socket.stat().st_mode & 0o077 == 0
    first.kill()
    first.wait()
    second = start()
    assert read_until(second, of_sampler).pid == frame.pid


def test_another_way_of_asking_is_another_sampler(start: Start, places: SamplerPaths) -> None:
    first = start()
    before = read_until(first, of_sampler).pid
    after = read_until(start(0.3), of_sampler).pid
    assert after is not None
    assert after == running(places) != before
    first.wait(PATIENCE_S)
    assert first.returncode == 0, "its sampler is gone, and so is it"


def test_a_killed_sampler_ends_the_relay_and_the_next_relay_starts_one(start: Start, places: SamplerPaths) -> None:
    first = start()
    before = read_until(first, of_sampler).pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    first.wait(PATIENCE_S)
    assert first.returncode == 0
    assert read_until(start(), of_sampler).pid == running(places) != before


@pytest.mark.slow
def test_a_silent_sampler_is_replaced_and_that_is_told(start: Start) -> None:
    first = start()
    before = read_until(first, of_sampler).pid
    assert before is not None
    first.kill()
    first.wait()
    os.kill(before, signal.SIGSTOP)  # as if the driver held it
    second = start()
    told = read_until(second, lambda frame: frame.trouble is not None)
    assert "did not answer" in str(told.trouble)
    assert told.pid is None
    assert read_until(second, of_sampler).pid != before


def test_the_ender_ends_it_and_there_is_none_twice(start: Start, places: SamplerPaths) -> None:
    assert sampler_process.end(places.lock) == "none"
    process = start()
    read_until(process, of_sampler)
    assert sampler_process.end(places.lock) == "ended"
    process.wait(PATIENCE_S)
    assert sampler_process.end(places.lock) == "none"


@pytest.mark.slow
def test_a_sampler_that_ends_at_once_is_told(places: SamplerPaths) -> None:
    """Its lock cannot be made: the state directory is not there."""
    nowhere = SamplerPaths(places.lock.parent / "none" / "gpu.lock", places.socket)
    argv = sampler_relay.argv(arguments(nowhere), as_unit=False)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=dict(os.environ)) as process:
        assert "ends as soon as" in str(read_until(process, lambda frame: frame.trouble is not None).trouble)
        process.kill()


def test_wrong_arguments() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-m", "jupyterd.launch.sampler_relay", "unit"], capture_output=True, check=False
    )
    assert done.returncode == 2
    assert b"usage" in done.stderr


def test_the_sampler_of_the_version_before_is_replaced(start: Start, places: SamplerPaths) -> None:
    """Up to 0.1 the lock file said `words`, a list of options."""
    first = start()
    before = read_until(first, of_sampler).pid
    assert before is not None
    found = sampler_process.find(places.lock)
    assert found is not None
    os.close(found.pidfd)
    places.lock.write_text(json.dumps({"pid": before, "started": found.owner.started, "words": ["--every", "0.2"]}))
    assert read_until(start(), of_sampler).pid != before
    first.wait(PATIENCE_S)
    assert first.returncode == 0


def connect(places: SamplerPaths) -> socket.socket:
    reader = socket.socket(socket.AF_UNIX)
    reader.settimeout(PATIENCE_S)
    reader.connect(str(places.socket))
    return reader


def test_readers_get_the_last_frame_at_once_and_stay_over_an_exec(
    places: SamplerPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = Readers(places, arguments(places))
    with pytest.raises(BlockingIOError):
        Readers(places, arguments(places))
    readers.send(b"one\n")
    with connect(places) as first:
        readers.wait(time.monotonic() + 0.1)
        assert first.recv(100) == b"one\n"
        monkeypatch.setenv("JUPYTERD_GPU_FDS", "")
        readers.hand_on()  # what exec keeps
        again = Readers(places, arguments(places))
        assert again.send(b"two\n")
        assert first.recv(100) == b"two\n"
        with connect(places) as second:
            again.wait(time.monotonic() + 0.1)
            assert second.recv(100) == b"two\n"
        again.wait(time.monotonic() + 0.1)
        assert again.send(b"three\n")
        assert first.recv(100) == b"three\n"
    again.close()
    Readers(places, arguments(places)).close()
