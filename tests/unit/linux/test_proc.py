"""Who a process is, on real ones and on made /proc files."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from jupyterd.linux import proc
from jupyterd.linux.proc import Identity, Stat


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        yield process
        process.kill()


def identity(pid: int) -> Identity:
    started = proc.started(pid)
    assert started is not None
    return Identity(pid, started, proc.boot_id())


def test_a_process_is_known_by_pid_start_time_and_boot(child: subprocess.Popen[bytes]) -> None:
    known = identity(child.pid)
    assert proc.is_alive(known)
    assert not proc.is_alive(replace(known, started=known.started + 1))
    assert not proc.is_alive(replace(known, boot="another"))
    assert proc.open_pidfd_since(child.pid, known.started + 1) is None


def test_a_zombie_is_not_alive(child: subprocess.Popen[bytes]) -> None:
    known = identity(child.pid)
    pidfd = proc.open_pidfd(known)
    assert pidfd is not None
    assert not proc.has_exited(pidfd)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie
    assert proc.has_exited(pidfd, 10)
    os.close(pidfd)
    assert not proc.is_alive(known)
    assert proc.started(child.pid) is None
    assert proc.open_pidfd_since(child.pid, known.started) is None
    assert proc.state(child.pid) == "Z"


def test_a_name_with_parentheses_does_not_confuse(tmp_path: Path) -> None:
    program = tmp_path / "a) R 1 (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "60"]) as process:
        try:
            assert proc.is_alive(identity(process.pid))
        finally:
            process.kill()


def test_this_process_is_itself() -> None:
    assert proc.is_alive(proc.this_process())
    assert proc.this_process().pid == os.getpid()
    found = proc.stat(os.getpid())
    assert found is not None
    assert (found.parent, found.session) == (os.getppid(), os.getsid(0))


LINE = "7 (x) S 3 7 5 0 -1 4194304 1 0 0 0 10 20 30 40 20 0 1 0 4711 0 0 18446744073709551615\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (LINE, Stat("S", 3, 5, 100, 4711)),
        (LINE.replace("(x) S", "(x) Z"), Stat("Z", 3, 5, 100, 4711)),
        (LINE.replace("(x)", "(a) Z 1 (b)"), Stat("S", 3, 5, 100, 4711)),
        ("7 (x) S 3\n", None),
        ("", None),
    ],
)
def test_fields_of_proc_pid_stat(tmp_path: Path, line: str, expected: Stat | None) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text(line)
    assert proc.stat(7, str(tmp_path)) == expected
    assert proc.started(7, str(tmp_path)) == (4711 if expected is not None and expected.state == "S" else None)


@pytest.mark.parametrize("told", ["0123456789abcdef0123456789abcdef", "01234567-89ab-cdef-0123-456789abcdef"])
def test_the_boot_as_systemd_named_it(monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    monkeypatch.setenv(proc.BOOT_ID, told)
    assert proc.boot_id() == "01234567-89ab-cdef-0123-456789abcdef"
    monkeypatch.delenv(proc.BOOT_ID)
    assert proc.boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@pytest.mark.parametrize("deaf", [False, True])
def test_what_does_not_end_by_sigterm_ends_by_sigkill(*, deaf: bool) -> None:
    script = f"{'trap : TERM;' if deaf else ''} echo ready; while :; do read x; done"
    with subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        pidfd = os.pidfd_open(process.pid)
        assert proc.terminate(pidfd, 0.3 if deaf else 20, 20)
        os.close(pidfd)
        assert process.wait() == (-9 if deaf else -15)
