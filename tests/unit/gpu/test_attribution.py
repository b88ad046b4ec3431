"""A kernel's processor time, from its cgroup or from its processes; made-up trees, and a real session."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jupyterd.gpu.attribution import Attribution

UID = os.getuid()
UNIT = f"/user.slice/user-{UID}.slice/user@{UID}.service/jupyterd.slice/jupyterd-kernel-k1.service"
FOREIGN = UNIT.replace(str(UID), str(UID + 1))


def cpu_s(kernels, root="/"):
    return Attribution(None, None, Path("/"), str(root)).cpu_s(kernels)


def process(root, pid, *, cgroup, session, ticks):
    place = root / "proc" / str(pid)
    place.mkdir(parents=True)
    (place / "cgroup").write_text(cgroup)
    numbers = [1, 1, session, 0, 0, 0, 0, 0, 0, 0, *ticks]  # ppid ... cmajflt, then the four times
    (place / "stat").write_text(f"{pid} (a (bad) name) S {' '.join(map(str, numbers))} 20 0 1 0 99\n")


def test_the_cgroup_counts_also_what_has_ended(tmp_path) -> None:
    process(tmp_path, 7, cgroup=f"0::{UNIT}/inner\n", session=7, ticks=(1, 1, 1, 1))
    unit = tmp_path / f"sys/fs/cgroup{UNIT}"
    unit.mkdir(parents=True)
    (unit / "cpu.stat").write_text("usage_usec 12500000\nuser_usec 1\n")
    assert cpu_s([("k1", 7)], tmp_path) == {"k1": 12.5}


def test_without_a_unified_cgroup_its_processes_are_added_up(tmp_path) -> None:
    per_s = os.sysconf("SC_CLK_TCK")
    process(tmp_path, 7, cgroup=f"1:name=systemd:{UNIT}\n", session=7, ticks=(per_s, 0, per_s, 0))
    process(tmp_path, 8, cgroup=f"1:name=systemd:{UNIT}\n", session=8, ticks=(0, per_s, 0, 0))  # setsid
    process(tmp_path, 20, cgroup="1:name=systemd:/x\n", session=20, ticks=(0, 0, 0, 2 * per_s))
    process(tmp_path, 21, cgroup="1:name=systemd:/x\n", session=20, ticks=(per_s, 0, 0, 0))
    process(tmp_path, 30, cgroup="1:name=systemd:/x\n", session=30, ticks=(99, 0, 0, 0))
    assert cpu_s([("k1", 7), ("detached", 21), ("gone", 99)], tmp_path) == {
        "k1": 3.0, "detached": 3.0, "gone": None,
    }  # fmt: skip


def test_units_of_other_accounts_are_not_the_kernels(tmp_path) -> None:
    """Any account may give its unit a kernel's name: its work would keep that kernel from being culled."""
    per_s = os.sysconf("SC_CLK_TCK")
    process(tmp_path, 7, cgroup=f"1:name=systemd:{UNIT}\n", session=7, ticks=(per_s, 0, 0, 0))
    process(tmp_path, 8, cgroup=f"1:name=systemd:{FOREIGN}\n", session=8, ticks=(9 * per_s, 0, 0, 0))
    process(tmp_path, 9, cgroup=f"0::{FOREIGN}\n", session=9, ticks=(per_s, 0, 0, 0))
    foreign = tmp_path / f"sys/fs/cgroup{FOREIGN}"
    foreign.mkdir(parents=True)
    (foreign / "cpu.stat").write_text("usage_usec 12500000\n")
    assert cpu_s([("k1", 7)], tmp_path) == {"k1": 1.0}
    assert cpu_s([("k1", 9)], tmp_path) == {"k1": 2.0}, "of pid 7 and of the process that was named, no unit's"


def test_a_real_session() -> None:
    burn = "import sys, time\nwhile time.process_time() < 0.4: pass\nprint('x', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", burn], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        child.stdout.readline()
        before = cpu_s([("k", child.pid)])["k"]
        time.sleep(0.05)
        after = cpu_s([("k", child.pid)])["k"]
        child.stdin.close()
    assert before is not None and before >= 0.3 - 0.02
    assert after == pytest.approx(before, abs=0.02)
