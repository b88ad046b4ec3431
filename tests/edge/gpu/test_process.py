"""The sampler as a process, by hand: pipes, signals, a driver that is slow or hangs."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import fake_nvml
from support.fake_nvml import gpu
from support.waiting import GUARD_S, eventually

from jupyterd.protocol import gpu_frames, sampler_lock
from jupyterd.protocol.gpu_frames import Frame
from jupyterd.protocol.sampler_lock import SamplerArguments

from .conftest import Driver

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(driver: Driver) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def run(every_s: float | None, *words: str, **environ: str) -> subprocess.Popen[bytes]:
        """Without `every_s` the command line has `words` in place of the arguments."""
        command = [sys.executable, "-I", "-m", "jupyterd.gpu", *words]
        if every_s is not None:
            command = [*sampler_lock.program(SamplerArguments(every_s))]
        env = fake_nvml.environment(driver.directory) | environ
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def read(process: subprocess.Popen[bytes], within_s: float = 10) -> Frame:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], within_s)
    assert ready, "no frame"
    return gpu_frames.decode(process.stdout.readline())


def waits(process: subprocess.Popen[bytes]) -> bool:
    """Whether it sleeps in the kernel, as ps(1) tells."""
    return Path(f"/proc/{process.pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] == "S"


def test_one_frame_a_beat(driver: Driver, start: Start) -> None:
    driver.has(gpu(0))
    process = start(0.2)
    read(process)
    begin = time.monotonic()
    for _ in range(5):
        assert read(process).gpus[0].temperature_c == 71
    assert time.monotonic() - begin > 0.8, "it is faster than its beat"


def test_sigterm_while_it_waits_is_a_clean_end_at_once(driver: Driver, start: Start) -> None:
    driver.has(gpu(0))
    process = start(3600)
    read(process)
    eventually(lambda: waits(process), "it waits for the next beat")
    process.send_signal(signal.SIGTERM)
    assert process.wait(GUARD_S) == 0


def test_sigterm_ends_it_while_the_driver_hangs(driver: Driver, start: Start) -> None:
    driver.has(gpu(0))
    process = start(0.1)
    read(process)
    driver.has(gpu(0), hang__nvmlDeviceGetMemoryInfo_v2=1)
    while select.select([process.stdout], [], [], 1)[0]:
        read(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(GUARD_S) in {0, -signal.SIGTERM}


def test_a_hang_at_the_start_is_silence(driver: Driver, start: Start) -> None:
    driver.has(gpu(0), hang__nvmlInitWithFlags=1)
    process = start(0.1)
    assert process.stdout is not None
    assert not select.select([process.stdout], [], [], 1)[0]
    process.send_signal(signal.SIGTERM)
    assert process.wait(GUARD_S) == -signal.SIGTERM


def test_it_ends_when_nobody_listens_even_while_it_waits(driver: Driver, start: Start) -> None:
    driver.has(gpu(0))
    process = start(3600)
    read(process)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(GUARD_S) == 0
    assert process.stderr is not None
    assert process.stderr.read() == b""


@pytest.mark.slow
def test_slow_answers_drop_beats_and_pile_nothing_up(driver: Driver, start: Start) -> None:
    driver.has(gpu(0), delay_ms__nvmlDeviceGetMemoryInfo_v2=300)
    process = start(0.1)
    read(process)
    begin = time.monotonic()
    for _ in range(3):
        assert read(process).gpus[0].memory_used_bytes == 10 * 1024**3
    assert time.monotonic() - begin > 0.8, "it is faster than the driver"
    driver.has(gpu(0))
    read(process)
    begin = time.monotonic()
    for _ in range(5):
        read(process)
    assert time.monotonic() - begin > 0.3, "it does not make up for lost beats"


def test_trouble_appears_and_clears_in_the_next_frame(driver: Driver, start: Start) -> None:
    driver.has(gpu(0))
    process = start(0.1)
    assert read(process).trouble is None
    driver.has(gpu(0) | {"gpu0.error.nvmlDeviceGetMemoryInfo_v2": 18})
    frame = read(process)
    while frame.trouble is None:
        frame = read(process)
    assert "different versions" in frame.trouble


@pytest.mark.parametrize(
    "arguments",
    [(), ("--every", "1"), ("x",), ('{"every_s": 0}',), ('{"every_s": NaN}',), ('{"every_s": 1}', "x"), ("-h",)],
)
def test_wrong_arguments(start: Start, arguments: tuple[str, ...]) -> None:
    process = start(None, *arguments)
    _, said = process.communicate(timeout=10)
    assert process.returncode == 2
    assert b'{"every_s": SECONDS, ...}' in said


def test_it_steps_behind_everybody(driver: Driver, start: Start) -> None:
    driver.has(gpu(0))
    process = start(3600)
    read(process)
    assert os.getpriority(os.PRIO_PROCESS, process.pid) >= 10
    assert Path(f"/proc/{process.pid}/oom_score_adj").read_text("ascii").strip() == "500"
    assert len(list(Path(f"/proc/{process.pid}/task").iterdir())) == 1
