"""The GPU lines in a real journal: the real pynvml over a made-up driver library, two made-up GPUs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import fake_nvml
from support.fake_nvml import GPU, gpu
from support.waiting import eventually
from system.machine import ACCOUNT
from system.service import UNIT, Service
from system.test_health import Watch

DRIVER = "/srv/driver"
HEALTHY = {"ecc": 0, "remapped": "0 0 0 0", "throttle": 0}


def with_driver(service: Service, **more: object) -> None:
    """Two GPUs, and what else the driver does."""
    inside = Path(f"/proc/{service.machine.leader}/root{DRIVER}")
    fake_nvml.write(inside, {"count": 2, **gpu(0, **HEALTHY), **gpu(1, name="NVIDIA H200"), **more})


@pytest.fixture
def with_gpus(service: Service, tmp_path: Path) -> Iterator[Service]:
    fake_nvml.build(tmp_path)
    inside = Path(f"/proc/{service.machine.leader}/root{DRIVER}")
    shutil.rmtree(inside, ignore_errors=True)
    shutil.copytree(tmp_path, inside)
    with_driver(service)
    service.machine.run(f"chmod -R a+rX {DRIVER}")
    service.machine.write(
        f"/etc/systemd/system/{UNIT}.d/test-driver.conf", f"[Service]\nEnvironment=LD_LIBRARY_PATH={DRIVER}\n"
    )
    service.settings("[gpu]\nsample_every_s = 1\ndetails_every_s = 1\nlog_every_s = 2\n")
    service.machine.run(f"systemctl daemon-reload; systemctl restart {UNIT}", timeout_s=120)
    yield service
    service.machine.run("umount /proc/driver", check=False)
    shutil.rmtree(inside, ignore_errors=True)


def test_each_gpu_has_its_lines_with_fields(with_gpus: Service) -> None:
    lines = eventually(lambda: with_gpus.journal(f"--unit={UNIT}", "GPU_INDEX=0"), "a line of the first GPU", 30)
    assert "RTX 4090" in lines[0]["MESSAGE"]
    assert "71 °C" in lines[0]["MESSAGE"]
    assert lines[0]["GPU_UUID"].startswith("GPU-00000000")
    assert float(lines[0]["GPU_UTIL_MEAN"]) > 0
    (second, *_) = eventually(lambda: with_gpus.journal(f"--unit={UNIT}", "GPU_INDEX=1"), "a line of the second", 30)
    assert "H200" in second["MESSAGE"]


def test_the_past_goes_by_notebooks_and_an_idle_one_is_ended(with_gpus: Service) -> None:
    service = with_gpus
    culling = "[gpu.cull]\nenabled = true\nmemory_gib = 3\nidle_s = 4\nwarning_s = 2\n"
    service.settings(f"[gpu]\nsample_every_s = 1\ndetails_every_s = 1\nhistory_every_s = 2\n{culling}")
    service.machine.run(f"systemctl reload {UNIT}", timeout_s=60)
    asked = {"path": "held.ipynb", "name": "", "type": "notebook", "kernel": {"name": "python3"}}
    code, answer = service.request("/api/sessions", method="POST", body=asked)
    assert code == 201, answer
    kernel = json.loads(answer)["kernel"]["id"]
    assert service.evaluate(kernel, "print(6 * 7)").strip() == "42"
    every = json.loads(service.machine.run("jupyterd kernels list --json"))
    (pid,) = [each["pid"] for each in every if each["id"] == kernel]
    idle = {"gpu0.processes": f"{pid}:{4 << 30}", "gpu0.samples": 0, "gpu0.utilisation": 0}
    with_driver(service, **idle)

    def told() -> list[dict[str, Any]]:
        # Not `run`: until the first row it ends with 3.
        every = json.loads(service.machine.attempt("jupyterd gpu --since today --json").stdout)["notebooks"]
        return [each for each in every if (each["notebook"] or "").endswith("/held.ipynb") and each["gpu_hours"] > 0]

    (held,) = eventually(told, "its row in the history, read by root", 60)
    assert held["memory_max_bytes"] == 4 << 30
    (ended,) = eventually(lambda: service.events("kernel-culled"), "its end in the journal", 90)
    assert ended["KERNEL_ID"] == kernel
    assert ended["NOTEBOOK"].endswith("/held.ipynb")
    eventually(lambda: kernel not in service.request("/api/kernels")[1], "the server to forget it", 60)
    assert "held.ipynb" in service.machine.run("jupyterd status").replace("\n", "")


def test_what_is_wrong_with_a_gpu_is_told_and_over_again(with_gpus: Service) -> None:
    def items() -> set[tuple[str, str]]:
        return {(each["code"], each["severity"]) for each in with_gpus.status().get("items", ())}

    wrong = {("gpu-memory-errors", "error"), ("gpu-memory-worn", "warning")}
    with_driver(with_gpus, **{"gpu0.ecc": 2, "gpu0.remapped": "1 3 1 0"})
    eventually(lambda: wrong <= items(), "both items", 60)
    assert "problem: " in with_gpus.show("StatusText")
    raised = {each["HEALTH_CODE"]: each["MESSAGE"] for each in with_gpus.events("gpu-raised")}
    assert {code for code, _ in wrong} <= raised.keys()
    with_driver(with_gpus)
    eventually(lambda: not wrong & items(), "their end", 90)
    cleared = {each["HEALTH_CODE"] for each in with_gpus.events("health-cleared")}
    assert {code for code, _ in wrong} <= cleared


NEW_DRIVER = f"""
mount -t tmpfs driver /proc/driver && mkdir /proc/driver/nvidia
echo 'NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue' >/proc/driver/nvidia/version
cd {DRIVER} && mv libnvidia-ml.so.1 libnvidia-ml.so.575.57.08 && ln -s libnvidia-ml.so.575.57.08 libnvidia-ml.so.1
"""


def test_what_takes_time_to_show_and_a_server_that_a_disk_holds_after_sigkill(
    with_gpus: Service, frozen_home: str
) -> None:
    service, watch = with_gpus, Watch(with_gpus)
    hot = {"gpu0.throttle": 0x40, "gpu1.memory_used": GPU["memory_total"]}
    with_driver(service, **hot)
    service.machine.run(f"{NEW_DRIVER}fsfreeze --freeze {frozen_home}")
    body = {"type": "file", "format": "text", "content": "x"}
    held = []
    for name in ("frozen", "frozen2"):  # the first is left to its disk, and there is one such at most
        held.append(service.pids()["server"])
        save = threading.Thread(
            target=service.http, args=(f"/api/contents/{name}/x.txt",), kwargs={"method": "PUT", "body": body}
        )
        save.start()
        service.wait_server(held[-1], 60)
        save.join(60)
    watch.raised("server-busy", "wedged", "gpu-driver-changed", "gpu-memory-full", within_s=60)
    told = {each["code"]: each["text"] for each in service.status()["items"]}
    assert told["wedged"] == f"the server process {held[1]} does not end even after SIGKILL"
    assert f"(pid {held[0]}) waits: " in told["server-busy"] and frozen_home in told["server-busy"]
    assert service.http("/api") == 200
    service.machine.run(f"fsfreeze --unfreeze {frozen_home}")
    watch.cleared("server-busy", "wedged", within_s=60)
    assert service.machine.run(f"cat {frozen_home}/x.txt") == "x", "its save is finished"
    watch.raised("gpu-slowed", within_s=150)
    with_driver(service)
    service.machine.run("umount /proc/driver")
    watch.cleared("gpu-slowed", "gpu-memory-full", "gpu-driver-changed")


DETACH = """
import os
reading, writing = os.pipe()
if not os.fork():
    os.setsid()
    if not os.fork():
        os.write(writing, b"%d" % os.getpid())
        os.execvp("sleep", ["sleep", "600"])
    os._exit(0)
print(os.read(reading, 20).decode())
"""
"""As a program that wants to be nobody's: a session of its own, and a parent that has ended."""


def test_memory_is_its_notebooks_whatever_its_processes_did_and_follows_a_rename(with_gpus: Service) -> None:
    asked = {"path": "train.ipynb", "name": "", "type": "notebook", "kernel": {"name": "python3"}}
    code, answer = with_gpus.request("/api/sessions", method="POST", body=asked)
    assert code == 201, answer
    session = json.loads(answer)
    (kernel,) = with_gpus.kernel_pids()
    detached = int(with_gpus.evaluate(session["kernel"]["id"], DETACH))
    with_driver(with_gpus, **{"gpu0.processes": f"{kernel}:{2 << 30} {detached}:{1 << 30} 1:{1 << 29}"})

    def line(notebook: str) -> dict[str, Any] | None:
        found = with_gpus.journal(f"--unit={UNIT}", f"GPU_NOTEBOOK={notebook}", "GPU_INDEX=0")
        return next((each for each in found if "512 MiB" in each["MESSAGE"]), None)

    home = with_gpus.machine.run(f"getent passwd {ACCOUNT}").split(":")[5]
    said = eventually(lambda: line(f"{home}/train.ipynb"), "a line with the notebook", 60)
    assert said["MESSAGE"].endswith("train.ipynb 3.0 GiB, systemd of root 512 MiB")
    renamed = {"path": "better name.ipynb"}
    assert with_gpus.http(f"/api/sessions/{session['id']}", method="PATCH", body=renamed) == 200
    said = eventually(lambda: line(f"{home}/better name.ipynb"), "a line with its new name", 60)
    assert "better name.ipynb 3.0 GiB" in said["MESSAGE"]


def test_a_killed_sampler_comes_back_and_the_server_never_notices(with_gpus: Service) -> None:
    pids = eventually(lambda: "sampler" in with_gpus.pids() and with_gpus.pids(), "the sampler")
    watch = Watch(with_gpus)
    with_gpus.machine.run(f"kill -KILL {pids['sampler']}")
    watch.raised("gpu-sampler", within_s=30)
    eventually(lambda: with_gpus.pids().get("sampler", pids["sampler"]) != pids["sampler"], "another sampler", 90)
    watch.cleared("gpu-sampler", within_s=60)
    assert with_gpus.pids()["server"] == pids["server"]


@pytest.fixture
def frozen_home(service: Service, frozen: str) -> Iterator[str]:
    """The same in the account's home, and once more beside it: a server that knows that one is silent looks there."""
    here = f"/home/{ACCOUNT}/frozen"
    service.machine.run(f"mkdir {frozen}/2; chmod 0777 {frozen}/2; mkdir {here} {here}2")
    service.machine.run(f"mount --bind {frozen} {here}; mount --bind {frozen}/2 {here}2")
    yield here
    service.machine.run(
        f"fsfreeze --unfreeze {frozen}; umount --lazy {here} {here}2; rmdir {here} {here}2", check=False
    )


@pytest.fixture
def frozen(with_gpus: Service, tmp_path: Path) -> Iterator[str]:
    """A directory in the machine on a small file system that can be frozen: who writes there waits in state D."""
    machine, place = with_gpus.machine, "/srv/frozen"
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(8 << 20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    loop = subprocess.run(
        ["losetup", "--find", "--show", str(image)], check=True, capture_output=True, text=True
    ).stdout.strip()
    device = Path(loop).stat().st_rdev
    thaw = f"fsfreeze --unfreeze {place} 2>/dev/null; umount --lazy {place} 2>/dev/null; losetup --detach {loop}"
    # Whatever becomes of this process: nothing stays frozen for longer than this.
    enter = ["nsenter", f"--target={machine.leader}", "--mount", "sh", "-c", f"sleep 300; {thaw}"]
    guard = subprocess.Popen(enter, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        machine.run(
            f"mkdir -p {place}; mknod {place}.device b {os.major(device)} {os.minor(device)};"
            f" mount -t ext4 {place}.device {place} && chmod 0777 {place}"
        )
        yield place
    finally:
        machine.attempt(f"fsfreeze --unfreeze {place}; umount --lazy {place}; rm -f {place}.device")
        subprocess.run(["losetup", "--detach", loop], check=False)
        os.killpg(guard.pid, signal.SIGKILL)
        guard.wait()


def test_a_driver_that_hangs_in_the_kernel_stays_on_its_island(with_gpus: Service, frozen: str) -> None:
    service, machine = with_gpus, with_gpus.machine
    pid = eventually(lambda: service.pids().get("sampler"), "the sampler")
    assert "/user@" in machine.run(f"cat /proc/{pid}/cgroup"), "not in the service"
    machine.run(f"fsfreeze --freeze {frozen}")
    with_driver(service, **{"block.nvmlDeviceGetMemoryInfo_v2": f"{frozen}/x"})
    eventually(lambda: machine.run(f"ps -o stat= -p {pid}").startswith("D"), "the sampler in state D", 30)
    assert service.http("/api") == 200
    begin = time.monotonic()
    machine.run(f"systemctl stop {UNIT}", timeout_s=60)
    took_s = time.monotonic() - begin
    sys.stderr.write(f"systemctl stop with the GPU sampler in state D: {took_s:.1f} s\n")
    assert service.show("Result") == "success"
    assert took_s < 30, "systemd would have waited for it"
    assert machine.run(f"ps -o stat= -p {pid}").startswith("D"), "nothing ends it"
    machine.run(f"systemctl start {UNIT}", timeout_s=120)
    named = f"(pid {pid})"
    since = eventually(
        lambda: [each for each in service.events("gpu-raised") if named in each["MESSAGE"]],
        "its name in the journal",
        90,
    )[0]
    assert "hangs" in since["MESSAGE"] and since["HEALTH_CODE"] == "gpu"
    assert service.http("/api") == 200
    with_driver(service)
    machine.run(f"fsfreeze --unfreeze {frozen}")
    over = eventually(
        lambda: [each for each in service.events("health-cleared") if named in each["MESSAGE"]], "that it is over", 90
    )
    assert over
    eventually(lambda: service.pids().get("sampler", pid) != pid, "another sampler")
