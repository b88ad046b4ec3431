"""The snapshot on disk: private, whole, dated for people, untouched when nothing has changed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from jupyterd.protocol.status import NAME, Address, Item, ProcessIdentity, Restart, Snapshot, decode
from jupyterd.supervisor.status_file import Status


def snapshot(now: float) -> Snapshot:
    return Snapshot(
        version="1", mode="foreground", account="a", state="serving", status="Serving", since=now,
        supervisor=ProcessIdentity(1, 2), server=None, spare=None, sampler=None, urls=(),
        certificate=None, kernels=None,
        kernels_busy=None,
        addresses=(Address("a", "b", ok=True, since=now, detail=""),), reloads=0, restarts=1,
        recent=(Restart(now, "c"),),
        items=(Item("c", "error", "t", "a", now),), gpus=(), state_dir="/s",
    )  # fmt: skip


def test_it_is_private_dated_and_replaced_as_a_whole(tmp_path: Path) -> None:
    status = Status(str(tmp_path))
    status.publish(snapshot(time.monotonic()))
    file = tmp_path / NAME
    assert file.stat().st_mode & 0o777 == 0o600
    document = decode(file.read_bytes())
    dates = (
        document["since"], document["addresses"][0]["since"], document["recent"][0]["at"], document["items"][0]["since"]
    )  # fmt: skip
    assert all(abs(date - time.time()) < 5 for date in dates)
    assert [each.name for each in tmp_path.iterdir()] == [NAME]


def test_it_is_not_written_again_when_equal(tmp_path: Path) -> None:
    status, made = Status(str(tmp_path)), snapshot(time.monotonic())
    status.publish(made)
    first = (tmp_path / NAME).stat().st_ino
    status.publish(replace(made))
    assert (tmp_path / NAME).stat().st_ino == first
    status.publish(replace(made, restarts=2))
    assert (tmp_path / NAME).stat().st_ino != first


def removed(file: Path) -> None:
    file.unlink()


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def replaced(file: Path) -> None:
    other = file.with_name("other")
    other.write_text('{"format": 1}')
    other.rename(file)


def with_its_directory(file: Path) -> None:
    file.unlink()
    file.parent.rmdir()


@pytest.mark.parametrize("harm", [removed, emptied, replaced, with_its_directory])
def test_what_somebody_did_to_it_is_made_good_within_five_seconds(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    status, file = Status(str(tmp_path / "run")), tmp_path / "run" / NAME
    status.publish(snapshot(time.monotonic()))
    written = file.read_bytes()
    status.keep(100.0)
    assert status.look_at == 105.0
    harm(file)
    status.keep(105.0)
    assert file.read_bytes() == written
    assert file.parent.stat().st_mode & 0o777 == 0o700
    same = file.stat().st_ino
    status.keep(110.0)
    assert file.stat().st_ino == same, "it is left alone while it is there"


def test_before_the_first_snapshot_there_is_nothing_to_write(tmp_path: Path) -> None:
    Status(str(tmp_path)).keep(100.0)
    assert not list(tmp_path.iterdir())


def test_a_directory_that_is_gone_is_an_error_and_tried_again(tmp_path: Path) -> None:
    status, made = Status(str(tmp_path / "gone" / "run")), snapshot(time.monotonic())
    with pytest.raises(FileNotFoundError):
        status.publish(made)
    (tmp_path / "gone").mkdir()
    status.keep(100.0)
    assert (tmp_path / "gone" / "run" / NAME).exists()
