"""`jupyterd doctor` as an ordinary account: each verdict is made wrong by the real thing."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import stalled_fs
from support.network import free_port
from support.served import COMMAND, UID, Served, served
from support.waiting import eventually

from jupyterd.cli.doctor import disk, port, reach
from jupyterd.cli.doctor.facts import ServerFacts
from jupyterd.cli.doctor.verdict import Verdict
from jupyterd.protocol.plan import Listen

SECRET = "token-of-mine-that-nobody-may-see"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts file systems: sudo ./check")


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served("--no-lab") as here:
        assert here.link
        eventually(lambda: here.status()["state"] == "serving", "it serves")
        yield here


def doctor(server: Served, *more: str) -> tuple[int, dict[str, list[dict[str, str]]], str]:
    """(exit code, subject -> its verdicts, the whole text)."""
    done = server.verb("doctor", "--json", *more)
    found: dict[str, list[dict[str, str]]] = {}
    for each in json.loads(done.stdout)["verdicts"]:
        found.setdefault(each["subject"], []).append(each)
    return done.returncode, found, done.stdout


def levels(found: dict[str, list[dict[str, str]]], subject: str) -> list[str]:
    return [each["level"] for each in found[subject]]


def test_a_server_that_is_well(server: Served) -> None:
    _, found, _ = doctor(server)
    pid = server.status()["supervisor"]["pid"]
    for subject in ("server", "settings", "port", "addresses", "certificate", "limits"):
        assert levels(found, subject) == ["good"], found[subject]
    assert f"https://localhost:{server.port}/" in found["server"][0]["text"]
    assert found["port"][0]["text"].startswith(f"{server.port} is held by jupyterd (pid {pid}")
    shown = server.verb("doctor")
    assert max(map(len, shown.stdout.splitlines())) <= 80 or "type: " in shown.stdout
    assert "\N{ESCAPE}" not in shown.stdout


def test_wrong_settings_are_told_with_all_the_rest_and_without_a_secret(server: Served) -> None:
    file = server.home / ".config/jupyterd/jupyterd.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'[login]\ntoken = "{SECRET}"\n[server]\nprot = 8888\nhidden_files = 3\n')
    file.chmod(0o600)
    if os.geteuid() == 0:
        for each in (file, file.parent, file.parent.parent):
            os.chown(each, UID, UID)
    try:
        code, found, text = doctor(server)
    finally:
        file.unlink()
    assert code == 1
    told = " ".join(each["text"] for each in found["settings"])
    assert "jupyterd.toml:4" in told and "server.port" in told and "jupyterd.toml:5" in told
    assert levels(found, "addresses") == ["good"]
    assert SECRET not in text


def test_a_server_that_hangs_does_not_answer_on_any_address(server: Served) -> None:
    pid = server.status()["server"]["pid"]
    supervisor = server.process.pid
    os.kill(supervisor, signal.SIGSTOP)  # else it would replace the server
    os.kill(pid, signal.SIGSTOP)
    try:
        code, found, _ = doctor(server)
    finally:
        os.kill(pid, signal.SIGCONT)
        os.kill(supervisor, signal.SIGCONT)
    assert code == 1
    assert set(levels(found, "addresses")) == {"wrong"}
    assert found["server"][0]["text"] == f"its supervisor is suspended (pid {supervisor})"
    assert found["server"][0]["advice"] == [f"kill -CONT {supervisor}"]


def base(number: int, *pids: int) -> ServerFacts:
    return ServerFacts((Listen("127.0.0.1", number),), number, "https", "/", "alice", 1000, "service", pids)


def test_the_port_of_somebody_else_is_named_with_its_process_and_what_to_type() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        number = held.getsockname()[1]
        (found,) = port.examine(base(number))
        assert found.level == "wrong"
        assert f"127.0.0.1:{number} is held by " in found.text and f"(pid {os.getpid()}, " in found.text
        assert found.advice[0].startswith(("kill ", "sudo systemctl stop "))
        (ours,) = port.examine(base(number, os.getpid()))
        assert ours.level == "good"
    assert [each.level for each in port.examine(base(number))] == ["good"]
    (lost,) = port.examine(base(number, os.getpid()))
    assert (lost.level, lost.text) == ("wrong", f"nothing listens on port {number}, although a server runs")


def test_what_answers_there_and_is_not_the_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        url = f"127.0.0.1:{held.getsockname()[1]}/"
        assert reach.problem_of(f"http://{url}", None, 0.2) == "connected, but got no answer in HTTP (TimeoutError)"
    assert reach.problem_of(f"http://{url}", None) == "connection refused"
    assert reach.problem_of("http://no-such-name.invalid/", None).startswith("the name leads nowhere")


@contextmanager
def tmpfs(where: Path, options: str) -> Iterator[Path]:
    where.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(where)], check=True)
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", str(where)], check=True)


def wrong(found: Iterator[Verdict]) -> list[str]:
    return [each.text for each in found if each.level == "wrong"]


@as_root
def test_a_full_disk_a_disk_without_inodes_and_one_that_is_read_only(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "full", "size=256k") as full:
        (full / "x").write_bytes(bytes(256 << 10))
        assert wrong(disk.examine({"notebooks": full})) == [
            f"the disk of {full} is full: 0 MiB of 0 MiB are left",
            f"{full} (notebooks) takes no more: the disk is full",
        ]
    with tmpfs(tmp_path / "inodes", "size=200m,nr_inodes=50") as none:
        assert wrong(disk.examine({"notebooks": none})) == [
            f"the disk of {none} takes no more files: 49 inodes of 50 are left"
        ]
    with tmpfs(tmp_path / "ro", "ro,size=200m") as sealed:
        (found,) = [each for each in disk.examine({"the home": sealed}) if each.level == "wrong"]
        assert found.text == f"{sealed} (the home) is on a disk that is read-only"
        assert found.advice[0] == f"sudo mount -o remount,rw {shlex.quote(str(sealed))}"
    with tmpfs(tmp_path / "well", "size=200m") as well:
        assert [each.level for each in disk.examine({"the state": well})] == ["good"]


@pytest.fixture
def home() -> Iterator[Path]:
    """Where an ordinary account can get to, as pytest's own directories are root's."""
    with tempfile.TemporaryDirectory(prefix="jupyterd-doctor-") as made:
        yield Path(made)


@as_root
def test_a_disk_that_hangs_leaves_the_other_verdicts(home: Path) -> None:
    far = home / "far"
    far.mkdir()
    settings = home / ".config/jupyterd/jupyterd.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(f'[server]\nport = {free_port()}\nroot_dir = "{far}"\n')
    for each in (settings, settings.parent, settings.parent.parent, home):
        os.chown(each, UID, UID)
    with stalled_fs.mounted(far) as served_by:
        served_by.send_signal(signal.SIGSTOP)
        try:
            done = subprocess.run(
                [*COMMAND, "doctor", "--json"], capture_output=True, text=True, timeout=60, check=False,
                env={"HOME": str(home), "PATH": "/usr/bin:/bin"}, cwd="/", user=UID, group=UID, extra_groups=[],
            )  # fmt: skip
        finally:
            served_by.send_signal(signal.SIGCONT)
    found = {each["subject"]: each for each in json.loads(done.stdout)["verdicts"]}
    assert found["disk"]["level"] == found["settings"]["level"] == "unknown"
    assert f"(fuse on {far})" in found["disk"]["text"]
    assert found["limits"]["level"] == found["port"]["level"] == "good", found


def test_doctor_imports_nothing_heavy() -> None:
    code = (
        "import sys, jupyterd.cli.doctor.verb\n"
        "sys.exit(bool({'jupyter_server', 'tornado', 'numpy'}.intersection(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-I", "-c", code], check=False).returncode == 0
