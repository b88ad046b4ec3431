"""`jupyterd gpu`: what is chosen, summed up, drawn and said; through the verb itself where it can be."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from datetime import datetime
from pathlib import Path

import pytest

from jupyterd.cli import main
from jupyterd.cli.gpu import page, plot, usage
from jupyterd.gpu.history import History
from jupyterd.gpu.intervals import GpuSpan, HolderInterval, HolderSpan, Spans
from jupyterd.linux import proc
from jupyterd.protocol import status
from jupyterd.protocol.gpu_frames import Gpu, GpuProcess
from jupyterd.protocol.status import Snapshot

GIB = 1 << 30
HOME = "/home/ada"
TRAIN = HolderInterval("k1", f"{HOME}/models/train.ipynb", "ada")


def past(begin, minutes):
    gpus, holders = [], []
    for at in range(begin, begin + minutes * 60, 60):
        gpus += [
            GpuSpan(at, 60, f"GPU-{index}", index, "H200", 60.0, 50.0, 99.0, GIB, 4 * GIB, 300.0, 60, 18_000.0)
            for index in (0, 1)
        ]
        holders += [
            HolderSpan(at, 60, "GPU-0", TRAIN, 60.0, 40.0, GIB, 14_400.0),
            HolderSpan(at, 60, "GPU-1", TRAIN, 60.0, 40.0, GIB, 14_400.0),
            HolderSpan(at, 60, "GPU-0", HolderInterval("k2", None, "ada"), 60.0, None, None, None),
            HolderSpan(at, 60, "GPU-0", HolderInterval(None, None, "eve"), 60.0, 10.0, GIB // 2, 3600.0),
        ]
    return Spans(tuple(gpus), tuple(holders))


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTERD_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("JUPYTERD_MODE", "LD_LIBRARY_PATH"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def written(state):
    begin = int(time.time()) // 60 * 60 - 3600
    keeper = History(state / "gpu.db", print)
    keeper.add(past(begin, 59))
    keeper.close()
    return begin


def serving(state: Path, *gpus: Gpu, **changes) -> None:
    ticks = proc.started(os.getpid())
    assert ticks is not None
    me = status.ProcessIdentity(os.getpid(), ticks)
    facts = {
        "version": "1", "mode": "foreground", "account": "ada", "state": "serving", "status": "", "since": 0.0,
        "supervisor": me, "server": None, "spare": None, "sampler": me, "urls": (), "addresses": (),
        "certificate": None, "kernels": 1, "kernels_busy": 0, "reloads": 0, "restarts": 0, "recent": (), "items": (),
        "gpus": gpus, "state_dir": str(state), **changes,
    }  # fmt: skip
    (state / "run").mkdir(exist_ok=True)
    (state / "run/status.json").write_bytes(status.encode(Snapshot(**facts)))


def now_gpu(processes):
    return Gpu(0, "GPU-0", "NVIDIA H200", 87.0, 100.0, 18 * GIB, 141 * GIB, 71, 310.0, None, processes=processes)


PROCESSES = (
    GpuProcess(10, 10 * GIB, 60.0, "ada", "k1aaaaaaaa", f"{HOME}/train.ipynb", "python"),
    GpuProcess(11, 7 * GIB, 20.0, "ada", "k1aaaaaaaa", f"{HOME}/train.ipynb", "python"),
    GpuProcess(12, None, None, "eve", None, None, "Xorg"),
)


@pytest.mark.parametrize(
    ("wanted", "path", "expected"),
    [
        ("train.ipynb", "/h/models/train.ipynb", True), ("train", "/h/models/train.ipynb", True),
        ("models/train", "/h/models/train.ipynb", True), ("~/models/train.ipynb", "/h/models/train.ipynb", True),
        ("/h/models/train.ipynb", "/h/models/train.ipynb", True), ("rain.ipynb", "/h/models/train.ipynb", False),
        ("odels/train", "/h/models/train.ipynb", False), ("", "/h/train.ipynb", False), ("train", None, False),
    ],
)  # fmt: skip
def test_a_notebook_goes_by_the_end_of_its_path(wanted, path, expected) -> None:
    assert usage.matches(wanted, path) is expected


@pytest.mark.parametrize("wanted", ["0", "gpu0", "GPU-8a1f"])
def test_a_gpu_goes_by_its_number_or_uuid(wanted) -> None:
    assert usage.matches_gpu(wanted, 0, "GPU-8a1f22")
    assert not usage.matches_gpu(wanted, 1, "GPU-9999")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("today", "2026-11-22 00:00"), ("yesterday", "2026-11-21 00:00"), ("12h", "2026-11-22 06:30"),
        ("7d", "2026-11-15 18:30"), ("90 min ago", "2026-11-22 17:00"), ("2026-11-01", "2026-11-01 00:00"),
        ("2026-11-01T08:15", "2026-11-01 08:15"), ("now", "2026-11-22 18:30"),
    ],
)  # fmt: skip
def test_moments(said, expected) -> None:
    now = datetime(2026, 11, 22, 18, 30).timestamp()  # noqa: DTZ001 - local time is meant
    assert datetime.fromtimestamp(usage.since(said, now)).strftime("%Y-%m-%d %H:%M") == expected  # noqa: DTZ006 - same


@pytest.mark.parametrize("said", ["", "smurf", "2026-13-01", "2027-01-01", "-3d", "9" * 30 + "d"])
def test_no_moments(said) -> None:
    with pytest.raises(ValueError, match=r"is not a time|in the future"):
        usage.since(said, datetime(2026, 11, 22, 18, 30).timestamp())  # noqa: DTZ001 - local time is meant


def test_the_use_by_notebook() -> None:
    train, eve, lonely = usage.uses(past(0, 60).holders, HOME)
    assert train.name == "~/models/train.ipynb"
    assert (train.gpu_hours, train.busy_hours, train.kwh) == (2.0, pytest.approx(0.8), pytest.approx(0.48))
    assert (eve.name, eve.kwh) == ("other programs of eve", pytest.approx(0.06))
    assert (lonely.busy_hours, lonely.memory_max_bytes, lonely.kwh) == (None, None, None)
    text = page.uses([train, eve, lonely], 60)
    assert "0.48" in text and "?" in text
    assert max(map(len, text.splitlines())) <= 60


def test_json_of_the_past(written, capsys) -> None:
    assert main.main(["gpu", "--since", "2h", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["index"] for each in told["gpus"]] == [0, 1]
    assert told["gpus"][0]["kwh"] == pytest.approx(59 * 18_000 / 3.6e6)
    assert len(told["gpus"][0]["samples"]) == 59
    assert told["notebooks"][0]["notebook"] == TRAIN.notebook
    assert main.main(["gpu", "--since", "2h", "--json", "--gpu", "1", "--notebook", "train"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["index"] for each in told["gpus"]] == [1]
    (one,) = told["notebooks"]
    assert one["gpu_hours"] == pytest.approx(59 / 60)
    assert one["samples"][0]["at"] == written


def test_csv_of_the_past(written, capsys) -> None:
    assert main.main(["gpu", "--since", "2h", "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 59 * 6
    assert {row["notebook"] for row in rows} == {"", TRAIN.notebook}
    assert datetime.fromisoformat(rows[0]["at"]).timestamp() == written
    assert main.main(["gpu", "--since", "2h", "--csv", "--notebook", "train.ipynb"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + 2 * 59
    assert main.main(["gpu", "--csv"]) == 2


@pytest.mark.usefixtures("written")
@pytest.mark.parametrize("columns", [80, 120])
def test_the_past_is_drawn(capsys, monkeypatch, columns) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main.main(["gpu", "--since", "2h"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) == columns
    assert "\N{ESCAPE}" not in text
    assert text.count("utilisation, %") == 2
    for piece in ("gpu0 H200: 50 % on average", "power, W", "train.ipynb", "GPU hours", "other programs of eve"):
        assert piece in text
    assert main.main(["gpu", "--since", "2h", "--notebook", "train", "--gpu", "0"]) == 0
    assert "its share" in capsys.readouterr().out


def test_nothing_to_show_is_one_sentence(state, capsys) -> None:
    assert main.main(["gpu", "--since", "today"]) == 3
    assert "there is no GPU history yet" in capsys.readouterr().err
    assert main.main(["gpu"]) == 3
    assert "is not running" in capsys.readouterr().err
    serving(state, sampler=None)
    assert main.main(["gpu"]) == 3
    assert len(capsys.readouterr().err.splitlines()) == 1
    (state / "gpu.db").write_bytes(b"nonsense" * 1000)
    assert main.main(["gpu", "--since", "today"]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_who_holds_what_now(state, capsys) -> None:
    serving(state, now_gpu(PROCESSES))
    assert main.main(["gpu"]) == 0
    text = capsys.readouterr().out
    for piece in ("gpu0 H200: 87 % (peak 100)", "train.ipynb", "17.0 GiB", "80 %", "k1aaaaaa", "10 and 1 more"):
        assert piece in text
    assert "Xorg of eve (not a notebook)" in text
    assert max(map(len, text.splitlines())) <= 80
    assert main.main(["gpu", "--json", "--notebook", "train"]) == 0
    (gpu,) = json.loads(capsys.readouterr().out)["gpus"]
    assert [each["pids"] for each in gpu["held_by"]] == [[10, 11]]
    assert main.main(["gpu", "--notebook", "nope"]) == 3
    assert main.main(["gpu", "--gpu", "7"]) == 3
    assert "this machine has gpu0" in capsys.readouterr().err


def test_unknown_holders_are_not_nobody() -> None:
    assert "which processes hold memory is not known" in page.now([now_gpu(None)], HOME, 80)
    assert "no process holds memory" in page.now([now_gpu(())], HOME, 80)


def test_a_gap_is_no_line() -> None:
    sheet = plot.Sheet(0, 7200, 80)
    points = [(at, 100.0) for at in (*range(0, 1800, 60), *range(5400, 7200, 60))]
    drawn = plot.draw("x", points, sheet, 60, 100)
    top = next(line for line in drawn.splitlines() if "100┤" in line)
    assert "   " in top.split("┤")[1]
    assert "no figures" in plot.draw("x", [], sheet, 60, 100)
