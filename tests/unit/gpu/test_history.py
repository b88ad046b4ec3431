"""gpu.history: what is written is read, in any state of the file; it is bounded, and old minutes become hours."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys

import pytest
from support import damage

from jupyterd.gpu import history
from jupyterd.gpu.history import History
from jupyterd.gpu.intervals import GpuSpan, HolderInterval, HolderSpan, Spans

DAY = 86400
NOW = 20_000 * DAY


def minute(at, utilisation=50.0, notebook="/n/train.ipynb", kernels=1):
    gpu = GpuSpan(at, 60, "GPU-1", 0, "H200", 60.0, utilisation, 99.0, 5, 10, 300.0, 60, 18_000.0)
    holders = tuple(
        HolderSpan(at, 60, "GPU-1", HolderInterval(f"k{each}", notebook, "ada"), 60.0, 40.0, 4, 9000.0)
        for each in range(kernels)
    )
    return Spans((gpu,), holders)


@pytest.fixture
def told():
    return []


@pytest.fixture
def path(tmp_path):
    return tmp_path / "gpu.db"


@pytest.fixture
def keeper(path, told):
    keeper = History(path, told.append)
    yield keeper
    keeper.close()


def test_what_is_written_is_read_while_the_writer_has_it_open(keeper, path, told) -> None:
    for at in range(NOW, NOW + 300, 60):
        keeper.add(minute(at))
    assert history.read(path, NOW + 60, NOW + 180) == Spans(
        (*minute(NOW + 60).gpus, *minute(NOW + 120).gpus), (*minute(NOW + 60).holders, *minute(NOW + 120).holders)
    )
    assert told == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_is_read_after_the_writer_has_gone(keeper, path) -> None:
    keeper.add(minute(NOW))
    keeper.close()
    assert history.read(path, 0, 2 * NOW) == minute(NOW)


def test_without_a_file_there_is_no_past(path) -> None:
    assert history.read(path, 0, NOW) == Spans()


def test_two_halves_of_a_minute_are_one(keeper, path) -> None:
    keeper.add(minute(NOW, 0.0))
    keeper.add(minute(NOW, 100.0))
    (gpu,) = history.read(path, 0, 2 * NOW).gpus
    assert (gpu.utilisation_mean, gpu.covered_s, gpu.energy_j) == (50, 120, 36_000)


def test_a_renamed_notebook_takes_its_past_along(keeper, path) -> None:
    keeper.add(minute(NOW))
    keeper.add(minute(NOW + 60, notebook="/n/final.ipynb"))
    keeper.add(minute(NOW + 120, notebook=None))
    assert {each.holder.notebook for each in history.read(path, 0, 2 * NOW).holders} == {"/n/final.ipynb"}


def test_after_thirty_days_minutes_become_hours(keeper, path) -> None:
    for at in range(NOW, NOW + 2 * DAY, 1200):
        keeper.add(minute(at))
    keeper.add(minute(NOW + 31 * DAY))
    past = history.read(path, 0, 2 * NOW)
    old = [each for each in past.gpus if each.span_s == 3600]
    assert [each.at for each in old] == list(range(NOW, NOW + DAY, 3600))
    assert old[0].covered_s == 180
    assert old[0].energy_j == 3 * 18_000
    assert len(past.gpus) == 24 + 72 + 1
    assert [each.at for each in past.holders] == [each.at for each in past.gpus]


def test_it_never_grows_beyond_its_bound(path, told) -> None:
    bound = 100_000
    keeper = History(path, told.append, max_bytes=bound)
    for day in range(20):
        whole = [minute(NOW + day * DAY + each * 300, kernels=3) for each in range(288)]
        keeper.add(Spans(sum((each.gpus for each in whole), ()), sum((each.holders for each in whole), ())))
    keeper.add(minute(NOW + 20 * DAY))
    past = history.read(path, 0, 2 * NOW)
    assert path.stat().st_size < 2 * bound
    assert past.gpus[-1].at == NOW + 20 * DAY  # the youngest stay, as minutes
    assert sum(each.span_s == 60 for each in past.gpus) >= 288
    assert told == []
    keeper.close()


@pytest.mark.parametrize("what", ["whole", "header", "middle"])
def test_a_damaged_file_is_set_aside_told_and_begun_anew(path, told, what) -> None:
    keeper = History(path, told.append)
    for at in range(NOW, NOW + 60_000, 60):
        keeper.add(minute(at))
    keeper.close()
    data = bytearray(path.read_bytes())
    if what == "whole":
        data = bytearray(b"nothing like a database" * 100)
    elif what == "header":
        data[:50] = b"x" * 50
    else:
        data[4096 * 4 : 4096 * 9] = b"\xff" * 4096 * 5
    path.write_bytes(data)
    again = History(path, told.append)
    again.add(minute(NOW + DAY))
    assert len(told) == 1
    assert "damaged" in told[0] and "gpu.db.damaged" in told[0]
    assert path.with_name("gpu.db.damaged").read_bytes() == bytes(data)
    again.add(minute(NOW + DAY + 60))
    assert history.read(path, 0, 2 * NOW).gpus == (*minute(NOW + DAY).gpus, *minute(NOW + DAY + 60).gpus)
    assert len(told) == 1
    again.close()


def test_what_a_reader_finds_damaged_is_one_sentence(path) -> None:
    path.write_bytes(b"nothing like a database" * 100)
    with pytest.raises(history.Unreadable, match="sets a damaged one aside"):
        history.read(path, 0, NOW)


def test_a_newer_file_is_left_as_it_is(path, told) -> None:
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version = 7")
    file.close()
    before = path.read_bytes()
    keeper = History(path, told.append)
    keeper.add(minute(NOW))
    keeper.add(minute(NOW + 60))
    assert len(told) == 1 and "newer" in told[0]
    with pytest.raises(history.Unreadable, match="newer"):
        history.read(path, 0, NOW)
    assert before[:16] == path.read_bytes()[:16]


def test_a_deleted_file_is_begun_anew(keeper, path, told) -> None:
    keeper.add(minute(NOW))
    for each in path.parent.iterdir():
        each.unlink()
    keeper.add(minute(NOW + 60))
    assert history.read(path, 0, 2 * NOW) == minute(NOW + 60)
    assert told == []


def test_what_cannot_be_written_is_told_once_and_written_later(path, told) -> None:
    keeper = History(path, told.append)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        keeper.add(minute(NOW))
        keeper.add(minute(NOW + 60))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(told) == 1 and "cannot be written" in told[0]
    keeper.add(minute(NOW + 120))
    assert len(history.read(path, 0, 2 * NOW).gpus) == 3
    keeper.close()


def test_after_any_damage_a_history_is_written(path, told) -> None:
    """Each bit of the head that SQLite reads first, and whatever else may be in the place of the file."""
    keeper = History(path, told.append)
    for at in range(NOW, NOW + 600, 60):
        keeper.add(minute(at))
    keeper.close()
    good = path.read_bytes()
    for name, spoil in [*damage.written(damage.contents(good, 24, 4096)), *damage.others()]:
        for each in path.parent.iterdir():
            if each.name.startswith(path.name) and not each.name.startswith(f"{path.name}.damaged"):
                damage.remove(each)
        spoil(path)
        again = History(path, told.append)
        for at in range(3):  # the first one may find the damage, and is written with the next
            again.add(minute(NOW + DAY + 60 * at))
        again.close()
        assert history.read(path, NOW + DAY, 2 * NOW).gpus[-1].at == NOW + DAY + 120, name


def test_a_link_in_its_place_is_not_followed(path, told, tmp_path) -> None:
    path.symlink_to(tmp_path / "elsewhere")
    keeper = History(path, told.append)
    keeper.add(minute(NOW))
    keeper.close()
    assert len(told) == 1
    assert not (tmp_path / "elsewhere").exists()


def test_a_writer_killed_at_any_moment_leaves_a_whole_file(path, told) -> None:
    program = (
        "import sys; from pathlib import Path; from jupyterd.gpu.history import History; "
        "from jupyterd.gpu.intervals import *\n"
        "keeper = History(Path(sys.argv[1]), print)\n"
        "for at in range(0, 10**9, 60):\n"
        "    keeper.add(Spans((GpuSpan(at, 60, 'G', 0, 'H', 60.0, 1.0, 1.0, 1, 1, 1.0, 1, 1.0),)))\n"
        "    print(at, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        last = [int(writer.stdout.readline()) for _ in range(200)][-1]
        os.kill(writer.pid, signal.SIGKILL)
    past = history.read(path, 0, 10**9)
    assert last in {each.at for each in past.gpus}
    keeper = History(path, told.append)
    keeper.add(minute(NOW))
    assert told == []
    keeper.close()
