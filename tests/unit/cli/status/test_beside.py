"""What status says that no snapshot holds: what systemd says, who holds the lock, a start that failed."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyterd.cli import _common, failed_start
from jupyterd.cli.status import beside, units, verb
from jupyterd.cli.status.beside import Beside
from jupyterd.cli.status.read import Nothing
from jupyterd.settings.paths import Paths

SHOWN = {
    "LoadState": "loaded", "ActiveState": "active", "SubState": "running", "Result": "success", "ExecMainCode": "0",
    "ExecMainStatus": "0", "MainPID": "7", "StatusText": "Serving https://gpu.lan:8888/ since Sun",
}  # fmt: skip
FAILED = {"ActiveState": "failed", "SubState": "failed", "Result": "exit-code", "MainPID": "0", "StatusText": ""}


def shown(**changes: str) -> str:
    return "".join(f"{name}={value}\n" for name, value in {**SHOWN, **changes}.items())


@pytest.mark.parametrize(
    ("changes", "runs", "trouble"),
    [
        ({}, True, ""),
        ({"ActiveState": "activating", "SubState": "start"}, True, ""),
        ({"ActiveState": "inactive", "SubState": "dead", "MainPID": "0"}, False, ""),
        (
            FAILED | {"ExecMainCode": "1", "ExecMainStatus": "78"},
            False,
            "jupyterd.service has failed: exit code 78 (the settings are refused)",
        ),
        (
            FAILED | {"ExecMainCode": "1", "ExecMainStatus": "226"},
            False,
            "jupyterd.service has failed: exit code 226",
        ),
        (
            FAILED | {"Result": "signal", "ExecMainCode": "2", "ExecMainStatus": "9"},
            False,
            "jupyterd.service has failed: ended by SIGKILL",
        ),
        (FAILED | {"Result": "resources"}, False, "jupyterd.service has failed (resources)"),
        (
            FAILED
            | {"ActiveState": "activating", "SubState": "auto-restart", "ExecMainCode": "1", "ExecMainStatus": "75"},
            False,
            f"jupyterd.service has ended and is started again in a moment: exit code 75 {units.WHY[75]}",
        ),
    ],
)
def test_what_systemd_says(changes: dict[str, str], runs: bool, trouble: str) -> None:  # noqa: FBT001 - a table
    found = units.state("service", shown(**changes))
    assert found is not None
    assert (found.runs, found.trouble) == (runs, trouble)


@pytest.mark.parametrize("text", ["", "garbage", shown(LoadState="not-found"), shown(LoadState="masked")])
def test_no_unit_is_nothing(text: str) -> None:
    assert units.state("service", text) is None


def test_what_systemd_prints_does_not_reach_the_screen_as_it_is() -> None:
    found = units.state("user", shown(StatusText="\x1b[31mx", MainPID="y"))
    assert found is not None
    assert (found.status, found.main_pid) == ("\N{REPLACEMENT CHARACTER}[31mx", 0)


@pytest.fixture
def place(tmp_path: Path) -> Paths:
    return Paths("foreground", tmp_path, tmp_path)


@pytest.fixture
def locked(place: Paths) -> Iterator[Paths]:
    """Somebody holds the lock of the state directory."""
    with place.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield place


def test_who_holds_the_lock_runs_snapshot_or_not(locked: Paths) -> None:
    (told,) = {beside.running((locked,), ())}
    assert told == f"a jupyterd runs with the state in {locked.state}"
    text = verb.absent(Nothing(), (locked.status,), (), told)
    assert "not running" not in text and told in text
    assert verb.code(Nothing(), running=True) == 1
    document = verb.document(Nothing(), (), (), told)
    assert (document["running"], document["state"], document["supervisor"]) == (True, "unknown", None)
    assert beside.running((Paths("user", locked.state / "x", locked.state / "x"),), ()) == ""


def test_a_unit_that_runs_is_the_truth_too(place: Paths) -> None:
    unit = units.state("service", shown())
    told = beside.running((place,), (Beside(unit, None),))
    assert told == "jupyterd.service runs (pid 7: Serving https://gpu.lan:8888/ since Sun)"


def test_a_snapshot_that_is_about_to_be_written_is_waited_for(place: Paths) -> None:
    assert isinstance(_common.patiently((place,), lambda: False), Nothing)
    asked: list[float] = []

    def runs() -> bool:
        asked.append(time.monotonic())
        return len(asked) < 3

    assert isinstance(_common.patiently((place,), runs), Nothing)
    assert len(asked) == 3


def test_a_start_that_failed_is_told_with_all_its_mistakes_until_one_succeeds(place: Paths) -> None:
    assert failed_start.read(place) is None
    failed_start.note(place, ("jupyterd.toml:3: port: 99999 is not in 1..65535", "jupyterd.toml:9: \x1b[31m"))
    found = failed_start.read(place)
    assert found is not None and abs(found.at - time.time()) < 60
    lines = list(beside.troubles((Beside(None, found), Beside(units.state("service", shown(**FAILED)), None))))
    assert lines[0].startswith("The last start failed, at ")
    assert lines[1:3] == [
        "    jupyterd.toml:3: port: 99999 is not in 1..65535", "    jupyterd.toml:9: \N{REPLACEMENT CHARACTER}[31m",
    ]  # fmt: skip
    assert lines[3] == "jupyterd.service has failed (exit-code). Type:\n    journalctl -u jupyterd -n 20"
    assert "99999" in verb.absent(Nothing(), (), (Beside(None, found),))
    document = verb.document(Nothing(), (), (Beside(None, found),))
    assert document["failed_starts"][0]["problems"][0].endswith("1..65535")
    failed_start.forget(place)
    assert failed_start.read(place) is None


@pytest.mark.parametrize("garbage", ["", "[", "[1]", "{}", '{"at": 1e999, "problems": 3}', "[" * 9999])
def test_garbage_is_no_failed_start(place: Paths, garbage: str) -> None:
    (place.runtime / failed_start.NAME).write_text(garbage)
    assert failed_start.read(place) is None


def test_the_document_names_services(place: Paths) -> None:
    document = verb.document(Nothing(), (place.status,), (Beside(units.state("service", shown()), None),))
    assert document["services"][0]["main_pid"] == 7
    json.dumps(document)
