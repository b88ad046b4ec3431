"""Who a process is, on real ones."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace

import pytest

from jupyterd.launch import identity


@pytest.fixture
def child():
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        yield process
        process.kill()


def test_a_process_is_known_by_pid_start_time_and_boot(child):
    known = identity.identify(child.pid)
    assert known is not None
    assert identity.is_alive(known)
    assert not identity.is_alive(replace(known, started=known.started + 1))
    assert not identity.is_alive(replace(known, boot="another"))


def test_a_zombie_is_not_alive(child):
    known = identity.identify(child.pid)
    pidfd = identity.open_pidfd(known)
    assert not identity.has_exited(pidfd)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie
    assert identity.has_exited(pidfd)
    os.close(pidfd)
    assert not identity.is_alive(known)
    assert identity.identify(child.pid) is None


def test_a_name_with_parentheses_does_not_confuse(tmp_path):
    program = tmp_path / "a) R 1 (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "60"]) as process:
        try:
            assert identity.is_alive(identity.identify(process.pid))
        finally:
            process.kill()
