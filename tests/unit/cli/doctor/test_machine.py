"""Verdicts on the machine: captured outputs of its programs, trees of its files, and the real ones where they are."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from jupyterd.cli.doctor import clock, disk, jupyter, limits, nvidia, sandbox, systemd_version, torch
from jupyterd.cli.doctor.verdict import Verdict

YEAR_S = 365 * 86400


def levels(found: object) -> list[str]:
    assert not isinstance(found, Verdict)
    return [each.level for each in found]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("now", "wrong"),
    [(0.0, True), (1e9, True), (1.8e9, False), (1.8e9 + 15 * YEAR_S, False), (1.8e9 + 30 * YEAR_S, True)],
)
def test_a_clock_that_cannot_be_right(now: float, wrong: bool) -> None:  # noqa: FBT001 - a column of the table
    assert bool(levels(clock.plausible(now, 1.8e9))) is wrong


def test_a_time_zone_that_does_not_exist(tmp_path: Path) -> None:
    zone = tmp_path / "localtime"
    assert levels(clock.zone_file(zone)) == []
    zone.symlink_to("/usr/share/zoneinfo/Mars/Olympus")
    (found,) = clock.zone_file(zone)
    assert found.text == "the time zone /usr/share/zoneinfo/Mars/Olympus does not exist, so times are in UTC"
    zone.unlink()
    zone.symlink_to("/dev/null")
    assert levels(clock.zone_file(zone)) == []


@pytest.mark.parametrize(
    ("shown", "advice"),
    [
        ({}, []),
        ({"NTPSynchronized": "yes", "NTP": "yes", "CanNTP": "yes"}, []),
        ({"NTPSynchronized": "yes", "NTP": "no", "CanNTP": "no"}, []),  # chrony without systemd knowing it
        ({"NTPSynchronized": "no", "NTP": "no", "CanNTP": "yes"}, ["sudo timedatectl set-ntp true"]),
        ({"NTPSynchronized": "no", "NTP": "no", "CanNTP": "no"}, ["sudo apt install systemd-timesyncd"]),
        ({"NTPSynchronized": "no", "NTP": "yes", "CanNTP": "yes"}, ["timedatectl timesync-status"]),
    ],
)
def test_what_sets_the_clock(shown: dict[str, str], advice: list[str]) -> None:
    if Path("/run/systemd/container").exists():
        pytest.skip("the clock of a container is that of the machine around it")
    assert [each.advice[0] for each in clock.synchronized(shown)] == advice


@pytest.mark.parametrize(
    ("said", "level"),
    [
        ("systemd 252 (252.39-1~deb12u1)\n+PAM +AUDIT", "good"), ("systemd 257 (257.8-1~deb13u2)\n", "good"),
        ("systemd 249 (249.11-0ubuntu3.16)\n", "wrong"), ("systemd 258~rc1-2\n", "good"), ("", "unknown"),
    ],
)  # fmt: skip
def test_the_version_of_systemd(said: str, level: str) -> None:
    assert levels(systemd_version.version(said)) == [level]


def test_a_machine_without_systemd_and_one_that_cannot_limit_memory(tmp_path: Path) -> None:
    (found,) = systemd_version.examine(1000, tmp_path)
    assert found.level == "notice" and "does not run here" in found.text
    assert levels(systemd_version.controllers(tmp_path, 1000)) == ["notice"]
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    assert levels(systemd_version.controllers(tmp_path, 1000)) == []
    mine = tmp_path / "user.slice/user-1000.slice/user@1000.service"
    mine.mkdir(parents=True)
    (mine / "cgroup.controllers").write_text("pids\n")
    (found,) = systemd_version.controllers(tmp_path, 1000)
    assert found.text.endswith("has no control over: memory")
    (mine / "cgroup.controllers").write_text("cpu memory pids\n")
    assert levels(systemd_version.controllers(tmp_path, 1000)) == []


SCORE = "  ✓ SystemCallFilter=~@swap   ...\n\n→ Overall exposure level for jupyterd.service: {} OK 🙂\n"


@pytest.mark.parametrize(
    ("shown", "score", "expected"),
    [
        ({"NeedDaemonReload": "no"}, "1.6", ["good"]), ({"NeedDaemonReload": "no"}, "9.2", ["notice"]),
        ({"NeedDaemonReload": "yes"}, "1.6", ["wrong", "good"]),
    ],
)  # fmt: skip
def test_the_sandbox(shown: dict[str, str], score: str, expected: list[str]) -> None:
    assert levels(sandbox.of_unit(shown, SCORE.format(score))) == expected
    assert levels(sandbox.of_unit({}, "nothing of the kind")) == ["unknown"]


def place(root: Path, *files: str, text: str = "") -> None:
    for each in files:
        file = root / each
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture
def gpu(tmp_path: Path) -> Path:
    """A machine with one NVIDIA GPU and its driver in use."""
    place(tmp_path, "sys/bus/pci/devices/0000:01:00.0/vendor", text="0x10de\n")
    place(tmp_path, "sys/bus/pci/devices/0000:01:00.0/class", text="0x030200\n")
    version = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n"
    place(tmp_path, "proc/driver/nvidia/version", text=version)
    place(tmp_path, "dev/nvidiactl", "dev/nvidia-uvm", "dev/nvidia0", "run/nvidia-persistenced/socket")
    place(tmp_path, f"lib/modules/{platform.release()}/modules.dep", text="updates/dkms/nvidia-current.ko.xz: x.ko\n")
    place(tmp_path, "lib/libnvidia-ml.so.550.54.15")
    (tmp_path / "lib/libnvidia-ml.so.1").symlink_to("libnvidia-ml.so.550.54.15")
    where = tmp_path / "lib/libnvidia-ml.so.1"
    place(tmp_path, "ldconfig", text=f"1 libs found\n\tlibnvidia-ml.so.1 (libc6,x86-64) => {where}\n")
    return tmp_path


def of_gpu(root: Path) -> Verdict:
    """The one that is not good, else the good one."""
    found = [*nvidia.examine(str(root))]
    return next((each for each in found if each.level != "good"), found[-1])


def test_a_driver_that_works(gpu: Path) -> None:
    assert of_gpu(gpu) == Verdict("gpu", "good", "1 GPU, driver 550.54.15")


def test_a_machine_without_a_gpu(tmp_path: Path) -> None:
    assert of_gpu(tmp_path).text == "there is no NVIDIA GPU in this machine"


def test_a_driver_that_was_upgraded_and_still_runs(gpu: Path) -> None:
    (gpu / "lib/libnvidia-ml.so.1").unlink()
    place(gpu, "lib/libnvidia-ml.so.570.86.10")
    (gpu / "lib/libnvidia-ml.so.1").symlink_to("libnvidia-ml.so.570.86.10")
    found = of_gpu(gpu)
    assert (found.level, found.advice) == ("wrong", ("sudo reboot",))
    assert "550.54.15" in found.text and "570.86.10" in found.text


def test_missing_device_nodes(gpu: Path) -> None:
    (gpu / "dev/nvidia-uvm").unlink()
    assert of_gpu(gpu).text == "device nodes are missing: /dev/nvidia-uvm"
    assert of_gpu(gpu).advice == ("sudo nvidia-modprobe -c0 -u",)


def test_a_kernel_that_boots_next_and_has_no_module(gpu: Path) -> None:
    place(gpu, "lib/modules/999.1.0-1-amd64/modules.dep", text="kernel/x.ko:\n")
    found = of_gpu(gpu)
    assert found.level == "wrong" and "not built for the kernel 999.1.0-1-amd64" in found.text


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("loaded by hand", "no NVIDIA driver in memory"),
        ("not built", f"its module is not built for the running kernel {platform.release()}"),
        ("none", "none is installed"),
        ("nouveau", "the driver nouveau has them"),
    ],
)
def test_a_driver_that_is_not_loaded(gpu: Path, change: str, text: str) -> None:
    (gpu / "proc/driver/nvidia/version").unlink()
    (gpu / "dev/nvidiactl").unlink()
    modules = gpu / "lib/modules"
    if change == "not built":
        place(gpu, "lib/modules/1.0.0-1/modules.dep", text="x/nvidia.ko:\n")
    if change in {"not built", "none"}:
        (modules / platform.release() / "modules.dep").unlink()
    if change == "nouveau":
        place(gpu, "sys/module/nouveau/refcnt")
    found = of_gpu(gpu)
    assert found.level == "wrong" and found.text.endswith(text) and found.advice


TORCH = {"version": "2.5.1", "cuda": "12.4", "sees": True, "why": "", "gpus": 2}


@pytest.mark.parametrize(
    ("change", "level", "word"),
    [
        ({}, "good", "sees 2 GPU"), ({"cuda": None, "sees": False}, "wrong", "built without CUDA"),
        ({"sees": False, "why": "driver too old (found version 11040)"}, "wrong", "sees no GPU: driver too old"),
    ],
)  # fmt: skip
def test_what_torch_says(change: dict[str, object], level: str, word: str) -> None:
    found = torch.of({**TORCH, **change}, Path("/srv/python"))
    assert found.level == level and word in found.text
    assert bool(found.advice) is (level != "good")


def test_torch_is_asked_by_its_own_python(gpu: Path) -> None:
    environment = gpu / "environment"
    assert levels(torch.examine(environment, str(gpu))) == ["good"]
    site = environment / "lib/python3.11/site-packages"
    place(site, "torch/version.py", "torch/__init__.py", text="raise ImportError('libcudart.so.12 is missing')\n")
    (environment / "bin").mkdir()
    python = environment / "bin/python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={site} exec /usr/bin/python3 "$@"\n')
    python.chmod(0o755)
    (found,) = torch.examine(environment, str(gpu))
    assert found.level == "wrong" and "cannot be imported" in found.text
    works = (
        "class version: cuda = '12.4'\n"
        "class cuda:\n    is_available = staticmethod(lambda: True)\n    device_count = staticmethod(lambda: 1)\n"
        "__version__ = '2.5.1'\n"
    )
    place(site, "torch/__init__.py", text=works)
    (found,) = torch.examine(environment, str(gpu))
    assert found == Verdict("torch", "good", "torch 2.5.1 (CUDA 12.4) sees 1 GPU(s)")
    (found,) = torch.examine(environment, str(gpu / "no-gpu"))
    assert found.text == "installed; there is no NVIDIA GPU that it could use"


def test_old_settings_that_nothing_reads(tmp_path: Path) -> None:
    assert levels(jupyter.ignored(tmp_path, "")) == []
    place(tmp_path, "jupyter_notebook_config.py")
    (found,) = jupyter.ignored(tmp_path, "")
    assert found.advice == ("jupyterd setup --import",)
    assert levels(jupyter.ignored(tmp_path, str(tmp_path))) == []


def test_a_front_end_that_was_left_behind(tmp_path: Path) -> None:
    place(tmp_path, "@me/gone/install.json", text='{"packageManager": "python", "packageName": "no-such-package"}')
    place(tmp_path, "here/install.json", text='{"packageManager": "python", "packageName": "notebook"}')
    place(tmp_path, "odd/install.json", text="[")
    (found,) = jupyter.left_behind([tmp_path])
    assert found.text.startswith("the front end @me/gone is there and its package no-such-package is not")
    assert found.advice == (f"sudo rm -r {tmp_path}/@me/gone",)


def test_limits() -> None:
    shown = "Limit                     Soft Limit           Hard Limit           Units\n"
    assert (
        limits.hard_limit(f"{shown}Max open files            1024                 65536                files\n")
        == 65536
    )
    assert (
        limits.hard_limit(f"{shown}Max open files            1024                 unlimited            files\n") is None
    )
    assert levels(limits.of_machine("960\t0\t1000\n")) == ["wrong"]
    assert levels(limits.of_machine("96\t0\t1000\n")) == []
    assert levels(limits.tasks({"TasksCurrent": "95", "TasksMax": "100"})) == ["wrong"]
    assert levels(limits.tasks({"TasksCurrent": "95", "TasksMax": "infinity"})) == []
    assert levels(limits.tasks({"TasksCurrent": "[not set]"})) == []


MOUNTS = """\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
40 22 0:40 / /home rw - nfs4 nas:/home rw,vers=4.2
41 22 0:41 / /mnt/with\\040space rw - ext4 /dev/sdb1 rw
"""
FSTAB = """\
# what where type how
/dev/sda1 / ext4 defaults 0 1
UUID=1 /mnt/with\\040space ext4 defaults 0 2
UUID=2 /data ext4 defaults,nofail 0 2
UUID=3 /backup ext4 noauto 0 2
UUID=4 none swap sw 0 0
"""


def test_mounts() -> None:
    where = {
        "notebooks": Path("/data/notebooks"),
        "the home": Path("/home/alice"),
        "the state": Path("/var/lib/jupyterd"),
    }
    found = [*disk.examine_mounts(where, MOUNTS, FSTAB)]
    assert [each.text for each in found if each.level == "wrong"] == [
        "/data is in /etc/fstab and not mounted; notebooks: /data/notebooks"
    ]
    assert [each.text for each in found if each.level == "notice"] == [
        "the home is on a network disk (nfs4, nas:/home on /home)"
    ]
    moved = {"the state": Path("/home/alice/.local/state/jupyterd")}
    (state, _) = disk.examine_mounts(moved, MOUNTS, "")
    assert state.level == "notice" and "may lose its locks and its database" in state.text
    assert levels(disk.examine_mounts({"notebooks": Path("/mnt/with space/x")}, MOUNTS, FSTAB)) == ["good"]
