"""What the sampler asks once a minute, through the real pynvml: processes, clocks, errors, parts, events."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.fake_nvml import gpu

from jupyterd.protocol.gpu_frames import Gpu, Mig, Xid

from .conftest import Driver, Stepper

GIB = 1024**3
NOBODY = 4194304
"""Above every pid (proc_sys_kernel(5), pid_max)."""


@contextmanager
def program() -> Iterator[int]:
    """A process of ours, as a stranger to every kernel."""
    command = [sys.executable, "-S", "-c", "input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        yield process.pid
        process.kill()


def proc(driver: Driver, pid: int, cgroup: str) -> None:
    """A /proc of our own in which `pid` lives in that cgroup."""
    place = driver.root / "proc" / str(pid)
    place.mkdir(parents=True)
    for name in ("stat", "status"):
        (place / name).write_bytes(Path(f"/proc/self/{name}").read_bytes())
    (place / "cgroup").write_text(f"0::{cgroup}\n", "ascii")


def test_all_details_of_a_datacentre_card(driver: Driver, stepper: Stepper) -> None:
    driver.has(gpu(0, clock_sm=1980, throttle=0x4 | 0x8 | 0x40, ecc=2, remapped="1 3 1 0", recovery=1), driver="550.54")
    frame = stepper.beat(0)
    each = frame.gpus[0]
    assert (frame.driver, frame.span_s, frame.at) == ("550.54", None, 1e9)
    assert frame.pid == stepper.process.pid
    assert each.utilisation_p95 == 100
    assert (each.clock_sm_mhz, each.throttle) == (1980, ("power-cap", "thermal"))
    assert (each.ecc_uncorrected, each.remap_pending, each.remap_failed) == (2, True, False)
    assert each.recovery == "reset"
    assert (each.processes, each.mig) == ((), ())
    driver.has(gpu(0, throttle=0x8, energy_mj=1_500_000))
    frame = stepper.beat(10)
    assert frame.span_s == 10
    assert (frame.gpus[0].energy_j, frame.gpus[0].power_w) == (500.0, 50.0)
    assert frame.gpus[0].throttle == ("power-cap", "thermal"), "the last answer"
    assert stepper.beat(60).gpus[0].throttle == ("hardware",)


def test_a_consumer_card_knows_little_and_unknown_is_none(driver: Driver, stepper: Stepper) -> None:
    driver.has(gpu(0))
    each = stepper.beat(0).gpus[0]
    unknown = ("clock_sm_mhz", "throttle", "ecc_uncorrected", "remap_pending", "recovery", "energy_j")
    assert {name: getattr(each, name) for name in unknown} == dict.fromkeys(unknown)
    assert each.trouble is None


def test_processes_by_memory_use_and_owner(driver: Driver, stepper: Stepper) -> None:
    with program() as one, program() as two:
        driver.root.joinpath("proc").symlink_to("/proc")
        uses = {"processes": f"{one}:{2 * GIB} {two}:- {NOBODY}:77 0:5", "graphics": f"{one}:{GIB}"}
        driver.has(gpu(0, **uses, process_util=f"{one}:40 {two}:4000000", process_util_at=5_000_000))
        first, second = sorted(stepper.beat(0).gpus[0].processes or (), key=lambda each: each.pid != one)
        assert (first.pid, first.memory_bytes, first.utilisation) == (one, 2 * GIB, 40)
        assert (first.kernel, first.notebook, first.mig) == (None, None, None)
        assert first.user
        assert (first.command or "").startswith("python")
        assert (second.pid, second.memory_bytes, second.utilisation) == (two, None, 0), "garbage is no figure"
        # nothing newer than the last time: the driver has seen nobody at work
        assert {each.utilisation for each in stepper.beat(60).gpus[0].processes or ()} == {0}
        driver.has(gpu(0, **uses, process_util=f"{two}:30", process_util_at=6_000_000))
        busy = {each.pid: each.utilisation for each in stepper.beat(120).gpus[0].processes or ()}
        assert busy == {one: 0, two: 30}
    assert stepper.beat(180).gpus[0].processes == (), "they are gone"


def test_processes_that_the_driver_never_counts_have_no_utilisation(driver: Driver, stepper: Stepper) -> None:
    driver.root.joinpath("proc").symlink_to("/proc")
    driver.has(gpu(0, processes=f"{os.getpid()}:1"))
    for now in (0, 60):
        (only,) = stepper.beat(now).gpus[0].processes or ()
        assert only.utilisation is None


def test_a_driver_that_hides_processes_is_not_an_empty_gpu(driver: Driver, stepper: Stepper) -> None:
    denied = {
        f"gpu0.error.nvmlDeviceGet{kind}RunningProcesses_{version}": 4
        for kind in ("Compute", "Graphics")
        for version in ("v2", "v3")
    }
    driver.has(gpu(0) | denied)
    assert stepper.beat(0).gpus[0].processes is None


def test_a_process_of_a_kernel_is_its_notebooks_and_follows_a_rename(driver: Driver, stepper: Stepper) -> None:
    place = (
        f"/user.slice/user-{os.getuid()}.slice/user@{os.getuid()}.service/jupyterd.slice/jupyterd-kernel-k-1.service"
    )
    proc(driver, 71, place)
    proc(driver, 72, f"{place}/nested")
    proc(driver, 73, "/user.slice/user-4321.slice/user@4321.service/jupyterd-kernel-k-1.service")
    driver.session("k-1", "work/train.ipynb")
    driver.has(gpu(0, processes=f"71:{GIB} 72:{GIB} 73:{GIB}"))
    found = [(each.pid, each.kernel, each.notebook) for each in stepper.beat(0).gpus[0].processes or ()]
    ours = "/home/ada/work/train.ipynb"
    assert found == [(71, "k-1", ours), (72, "k-1", ours), (73, None, None)]
    driver.session("k-1", "work/better name.ipynb")
    renamed = [each.notebook for each in stepper.beat(60).gpus[0].processes or ()]
    assert renamed == ["/home/ada/work/better name.ipynb"] * 2 + [None]


def test_without_units_a_process_is_the_kernels_by_its_parents_or_its_session(driver: Driver, stepper: Stepper) -> None:
    code = (
        "import os, subprocess\n"
        "reading, writing = os.pipe()\n"
        "if not os.fork():\n"  # its parent ends: the session is all that is left
        "    if not os.fork():\n"
        "        os.write(writing, b'%d' % os.getpid())\n"
        "        os.execvp('sleep', ['sleep', '600'])\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "orphan = int(os.read(reading, 20))\n"
        "worker = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "print(orphan, worker.pid, flush=True)\n"
        "input()\n"
    )
    driver.root.joinpath("proc").symlink_to("/proc")
    driver.records.mkdir()
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-S", "-c", code], start_new_session=True, **pipes) as kernel:
        assert kernel.stdout is not None
        orphan, worker = map(int, kernel.stdout.readline().split())
        try:
            started = int(Path(f"/proc/{kernel.pid}/stat").read_text().rpartition(")")[2].split()[19])
            record = {"pid": kernel.pid, "started": started, "boot": "x"}
            (driver.records / "k-1.pid").write_text(json.dumps(record), "ascii")
            (driver.records / "k-2.pid").write_text("garbage", "ascii")
            pids = {kernel.pid, orphan, worker, os.getpid()}
            driver.has(gpu(0, processes=" ".join(f"{pid}:1" for pid in pids)))
            found = {each.pid: each.kernel for each in stepper.beat(0).gpus[0].processes or ()}
            assert found == {kernel.pid: "k-1", orphan: "k-1", worker: "k-1", os.getpid(): None}
        finally:
            for pid in (orphan, worker, kernel.pid):
                os.kill(pid, signal.SIGKILL)


def test_a_divided_gpu_has_parts_and_processes_in_them(driver: Driver, stepper: Stepper) -> None:
    parts = {
        "gpu0.mig0.uuid": "MIG-a", "gpu0.mig0.name": "NVIDIA H200 MIG 1g.18gb", "gpu0.mig0.memory_total": 18 * GIB,
        "gpu0.mig0.memory_used": GIB, "gpu0.mig0.instance": 9,
        "gpu0.mig2.uuid": "MIG-c",
    }  # fmt: skip
    driver.root.joinpath("proc").symlink_to("/proc")
    divided = gpu(0, mig=1, mig_max=4, samples=None, utilisation=None, processes=f"{os.getpid()}:{GIB}:9")
    driver.has(divided | parts)
    each = stepper.beat(0).gpus[0]
    assert each.mig == (
        Mig(0, "MIG-a", "NVIDIA H200 MIG 1g.18gb", GIB, 18 * GIB, 9),
        Mig(2, "MIG-c", "", None, None, None),
    )
    assert [one.mig for one in each.processes or ()] == [9]
    assert each.utilisation_mean is None
    assert each.trouble is None


def xids(gpus: tuple[Gpu, ...]) -> list[tuple[int, ...]]:
    return [tuple(each.code for each in one.xids) for one in gpus]


def test_errors_of_the_driver_are_told_once_by_gpu(driver: Driver, stepper: Stepper) -> None:
    driver.has(gpu(0), gpu(1), xid="1:1:31 2:1:43 3:0:13")
    assert xids(stepper.beat(0).gpus) == [(13,), (31, 43)]
    assert xids(stepper.beat(10).gpus) == [(), ()]
    driver.has(gpu(0), gpu(1), xid="3:0:13 4:0:79")
    assert xids(stepper.beat(20).gpus) == [(79,), ()]


def test_a_lost_gpu_that_answers_at_once_is_not_asked_for_ever(driver: Driver, stepper: Stepper) -> None:
    driver.has(gpu(0), error__nvmlEventSetWait_v2=15)
    asked = []
    for now in range(0, 600, 10):
        stepper.beat(now)
        asked += [now for call in driver.calls() if call == "nvmlEventSetWait_v2"]
    assert asked == [0, 60, 180, 420]


def test_a_driver_without_events_has_none(driver: Driver, stepper: Stepper) -> None:
    driver.has(gpu(0), error__nvmlEventSetCreate=3)
    assert stepper.beat(0).gpus[0].xids == ()
    assert "nvmlEventSetWait_v2" not in driver.calls()


def test_the_kernels_log_names_the_process_where_it_may_be_read(driver: Driver, stepper: Stepper) -> None:
    log = driver.root / "dev/kmsg"
    log.parent.mkdir()
    log.write_text("6,1,1,-;NVRM: Xid (PCI:0000:01:00): 79, before we came\n", "ascii")
    driver.has(gpu(0), gpu(1), xid="1:0:13")
    assert xids(stepper.beat(0).gpus) == [(), ()], "one source, not two"
    with log.open("a", encoding="ascii") as file:
        file.write("4,2,2,-;NVRM: Xid (PCI:0000:02:00): 31, pid=1234, name=python, Ch 00000008\n6,3,3,-;eth0: up\n")
    told = stepper.beat(10).gpus[1].xids
    assert [(each.code, each.pid) for each in told] == [(31, 1234)]
    assert isinstance(told[0], Xid)
    assert stepper.beat(20).gpus[1].xids == ()


def test_a_library_of_another_version_is_foreseen(driver: Driver, stepper: Stepper) -> None:
    here = driver.directory / "libnvidia-ml.so.1"
    here.rename(driver.directory / "libnvidia-ml.so.550.54.15")
    here.symlink_to("libnvidia-ml.so.550.54.15")
    version = driver.root / "proc/driver/nvidia/version"
    version.parent.mkdir(parents=True)
    version.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n")
    driver.has(gpu(0))
    assert stepper.beat(0).foreseen is None
    assert stepper.beat(60).foreseen is None
    here.unlink()
    here.symlink_to("libnvidia-ml.so.560.35.03")
    (driver.directory / "libnvidia-ml.so.560.35.03").write_bytes(b"")
    told = stepper.beat(120).foreseen
    assert told is not None
    assert "560.35.03" in told
    assert "550.54.15" in told
    driver.has(gpu(0), error__nvmlDeviceGetMemoryInfo_v2=18)
    assert "different versions (550.54.15 and 560.35.03)" in str(stepper.beat(130).trouble)


@pytest.mark.parametrize("missing", ["nvmlDeviceGetProcessUtilization", "nvmlEventSetWait_v2", "nvmlDeviceGetMigMode"])
def test_one_failing_question_costs_one_answer(driver: Driver, stepper: Stepper, missing: str) -> None:
    driver.has(gpu(0, clock_sm=1980), **{f"error__{missing}": 999})
    each = stepper.beat(0).gpus[0]
    assert (each.clock_sm_mhz, each.utilisation_max, each.trouble) == (1980, 100, None)
