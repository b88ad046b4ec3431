"""Every damage of a kernel's files: the other kernels stay, and a kernel that runs is found again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support import damage
from support.waiting import eventually

from jupyterd.launch import deaths, detached, launcher, registry, traces
from jupyterd.launch.deaths import ExitStatus, RecentDeath
from jupyterd.launch.registry import Entry
from jupyterd.linux import files, kept, proc
from jupyterd.linux.proc import Identity

RECORD = Entry("k1", "python3", ("/bin/sleep", "$HOME"), "/", "/c.json", "signal", None, 5.0, (("MemoryMax", "1G"),))
OTHER = Entry("k2", "python3", ("/bin/true",), "/", "/d.json", "signal", "u.service", 6.0, process=Identity(7, 8, "b"))


def written(directory: Path) -> None:
    registry.write(directory, RECORD, {"A": "b"})
    registry.write(directory, OTHER, {"C": "d"})
    (directory / "k2.pid").write_text('{"pid": 7, "started": 8, "boot": "b"}')


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "running" not in request.fixturenames:
        monkeypatch.setattr(proc, "pids", list)


def test_a_damaged_record_costs_no_other(tmp_path: Path) -> None:
    written(tmp_path)
    good = (tmp_path / "k1.json").read_bytes()
    for name, spoil in [
        *damage.written(damage.contents(good, 40)), *damage.written(damage.values(good)), *damage.others()
    ]:  # fmt: skip
        path = tmp_path / "k1.json"
        damage.remove(path)
        spoil(path)
        before = os.path.lexists(path)
        found, told = registry.read_all(tmp_path)
        assert OTHER in found, name
        assert len(found) == 2 or told or not before, name
        assert all(str(path) in told[0] for _ in told), name
        again, _ = registry.read_all(tmp_path)
        assert again == found, name
        registry.write(tmp_path, RECORD, {})
        assert registry.read(tmp_path, "k1") == RECORD, name


@pytest.mark.parametrize("part", [".pid", ".env", ".end", ".why"])
def test_damaged_parts_cost_nothing_else(tmp_path: Path, part: str) -> None:
    written(tmp_path)
    path = tmp_path / f"k2{part}"
    for name, spoil in [
        *damage.written(damage.contents(b'{"pid": 7, "started": 8, "boot": "b"}')),
        *damage.written(damage.values(b'{"pid": 7, "started": 8, "boot": "b"}')), *damage.others(),
    ]:  # fmt: skip
        damage.remove(path)
        spoil(path)
        found, _ = registry.read_all(tmp_path)
        assert [each.id for each in found] == ["k1", "k2"], name
        assert isinstance(detached.ending(tmp_path, "k2"), ExitStatus), name
        registry.read_why(tmp_path, "k2")
        try:
            registry.read_env(tmp_path, "k2")
        except (OSError, ValueError):
            continue
        registry.sweep(tmp_path)


def test_the_deaths_that_were_noted_may_be_damaged(tmp_path: Path) -> None:
    written(tmp_path)
    deaths.note(tmp_path, RECORD, "x")
    path = tmp_path / deaths.NAME
    good = path.read_bytes()
    for name, spoil in [*damage.written(damage.contents(good, 8)), *damage.others()]:
        damage.remove(path)
        spoil(path)
        deaths.note(tmp_path, OTHER, "the cause", lambda _: None)
        assert deaths.decode(kept.read(path))[-1].cause == "the cause", name
    assert isinstance(deaths.decode(kept.read(path))[0], RecentDeath)


@pytest.mark.parametrize("part", [*registry.PARTS, ".conf"])
def test_what_has_ended_is_forgotten_whatever_is_in_the_place_of_its_files(tmp_path: Path, part: str) -> None:
    ended = replace(RECORD, kind="terminal", tty="/dev/pts/9")
    for name, spoil in damage.others():
        registry.write(tmp_path, OTHER, {})
        registry.write(tmp_path, ended, {})
        path = tmp_path / f"k1{part}"
        damage.remove(path)
        spoil(path)
        launcher.forget(tmp_path, ended)
        assert not os.path.lexists(path), name
        found, _ = registry.read_all(tmp_path)
        assert [each.id for each in found] == ["k2"], name
        registry.write(tmp_path, ended, {})
        assert registry.read(tmp_path, "k1") == ended, name


@pytest.mark.parametrize("spoil", [name for name, _ in damage.others() if name not in {"removed", "a huge file"}])
def test_something_else_in_the_place_of_the_lock(tmp_path: Path, spoil: str) -> None:
    dict(damage.others())[spoil](tmp_path / registry.SERVER_LOCK)
    held = registry.hold_as_server(tmp_path, lambda _: None)
    assert held is not None and registry.server_runs(tmp_path)
    os.close(held)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Entry]:
    """A kernel that runs, with its record."""
    connection = tmp_path / "kernel-k3.json"
    connection.write_text('{"kernel_name": "julia", "key": "x"}')
    connection.chmod(0o600)
    argv = ("/bin/sh", "-c", "sleep 1000 & wait", "sh", "-f", str(connection))
    process = subprocess.Popen(argv, cwd="/usr", start_new_session=True)
    eventually(lambda: str(connection) in proc.text(process.pid, "cmdline"))  # the kernel sets it after exec's return
    identity = Identity(process.pid, proc.started(process.pid) or 0, proc.boot_id())
    record = Entry("k3", "julia", argv, "/usr", str(connection), "signal", None, 5.0, process=identity)
    records = tmp_path / "kernels"
    registry.write(records, record, {"A": "b"})
    files.replace(
        records / "k3.pid",
        json.dumps(
            dict(zip(("pid", "started", "boot"), (identity.pid, identity.started, identity.boot), strict=True))
        ).encode(),
    )
    yield record
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("parts", [(".json",), (".pid",), (".json", ".pid")])
def test_a_kernel_that_runs_is_found_again_whatever_is_damaged(
    tmp_path: Path, running: Entry, parts: tuple[str, ...]
) -> None:
    records = tmp_path / "kernels"
    for part in parts:
        (records / f"k3{part}").write_text("{")
    (found,), told = registry.read_all(records)
    assert (found.process, found.argv, found.cwd) == (running.process, running.argv, running.cwd)
    assert (found.name, found.connection_file, found.unit) == (running.name, running.connection_file, running.unit)
    assert told
    registry.sweep(records)
    assert registry.read_env(records, "k3") == {"A": "b"}
    again, told = registry.read_all(records)
    assert (again, told) == ([found], [])


def test_other_processes_are_no_kernel() -> None:
    assert traces.find("no such kernel") is None
