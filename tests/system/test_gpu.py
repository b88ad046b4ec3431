"""The GPU lines in a real journal: the real pynvml over a made-up driver library, two made-up GPUs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import fake_nvml
import pytest
from fake_nvml import gpu
from system.machine import wait_until
from system.service import UNIT, Service

pytestmark = pytest.mark.system

DRIVER = "/srv/driver"


@pytest.fixture
def with_gpus(service: Service, tmp_path: Path) -> Iterator[Service]:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler: sudo apt install gcc libc6-dev")
    fake_nvml.build(tmp_path)
    fake_nvml.write(tmp_path, {"count": 2, **gpu(0), **gpu(1, name="NVIDIA H200")})
    inside = Path(f"/proc/{service.machine.leader}/root{DRIVER}")
    shutil.rmtree(inside, ignore_errors=True)
    shutil.copytree(tmp_path, inside)
    service.machine.run(f"chmod -R a+rX {DRIVER}")
    service.machine.write(
        f"/etc/systemd/system/{UNIT}.d/test-driver.conf", f"[Service]\nEnvironment=LD_LIBRARY_PATH={DRIVER}\n"
    )
    service.settings("[gpu]\nsample_every_s = 1\nlog_every_s = 2\n")
    service.machine.run(f"systemctl daemon-reload; systemctl restart {UNIT}", timeout_s=120)
    yield service
    shutil.rmtree(inside, ignore_errors=True)


def test_each_gpu_has_its_lines_with_fields(with_gpus: Service) -> None:
    lines = wait_until(lambda: with_gpus.journal(f"--unit={UNIT}", "GPU_INDEX=0"), "a line of the first GPU", 30)
    assert "RTX 4090" in lines[0]["MESSAGE"]
    assert "71 °C" in lines[0]["MESSAGE"]
    assert lines[0]["GPU_UUID"].startswith("GPU-00000000")
    assert float(lines[0]["GPU_UTIL_MEAN"]) > 0
    (second, *_) = wait_until(lambda: with_gpus.journal(f"--unit={UNIT}", "GPU_INDEX=1"), "a line of the second", 30)
    assert "H200" in second["MESSAGE"]


def test_a_killed_sampler_comes_back_and_the_server_never_notices(with_gpus: Service) -> None:
    pids = wait_until(lambda: "sampler" in with_gpus.pids() and with_gpus.pids(), "the sampler")
    with_gpus.machine.run(f"kill -KILL {pids['sampler']}")
    wait_until(lambda: with_gpus.pids().get("sampler", pids["sampler"]) != pids["sampler"], "another sampler", 90)
    assert with_gpus.pids()["server"] == pids["server"]


def test_a_driver_that_hangs_touches_nothing_and_a_stop_is_quick(with_gpus: Service) -> None:
    pids = wait_until(lambda: "sampler" in with_gpus.pids() and with_gpus.pids(), "the sampler")
    with_gpus.machine.run(f"kill -STOP {pids['sampler']}")
    assert with_gpus.http("/api") == 200
    with_gpus.machine.run(f"systemctl stop {UNIT}", timeout_s=30)
    assert with_gpus.show("Result") == "success"
