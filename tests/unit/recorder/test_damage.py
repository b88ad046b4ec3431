"""Every damage of a spool and of its marks: at most the damaged record is lost, and everybody goes on."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support import damage

from jupyterd.protocol import cursors, spool
from jupyterd.protocol.cursors import Cursor, CursorTable
from jupyterd.recorder.spool_writer import SpoolWriter
from jupyterd.server.channels.spool_reader import SpoolReader

COUNT = 5
KIND_AT, CHECK_AT, SIZE_AT = 2, 6, 8


def frames(number: int) -> list[bytes]:
    header = {"msg_id": f"m{number}", "msg_type": "stream", "date": f"2026-01-01T00:00:00.{number:06d}Z"}
    return [b"sig", json.dumps(header).encode(), b"{}", b"{}", b"dj" * 20]


RECORDS = [spool.pack(spool.IOPUB, each, 0, spool.NOBODY, frames(each)) for each in range(COUNT)]
OLD = [each[:CHECK_AT] + bytes(2) + each[CHECK_AT + 2 :] for each in RECORDS]
"""As an earlier version wrote them: without a checksum."""


def read(directory: Path) -> list[int]:
    reader = SpoolReader(directory, Cursor())
    reader.begin()
    found = []
    while batch := reader.read():
        found += [json.loads(each.frames[1])["msg_id"] for each in batch]
    reader.close()
    return [int(each[1:]) for each in found]


@pytest.mark.parametrize("which", [0, 2, COUNT - 1])
def test_a_flipped_bit_costs_its_own_record(which: int) -> None:
    start = sum(len(each) for each in RECORDS[:which])
    whole = b"".join(RECORDS)
    for bit in range(8 * len(RECORDS[which])):
        flipped = bytearray(whole)
        flipped[start + bit // 8] ^= 1 << bit % 8
        found = [each.number for each in spool.records(bytes(flipped))]
        assert found == [each for each in range(COUNT) if each != which], bit


def test_a_flipped_bit_in_a_record_of_an_earlier_version_costs_no_other() -> None:
    start, whole = len(OLD[0]), b"".join(OLD)
    assert len(list(spool.records(whole))) == COUNT
    for bit in range(8 * len(OLD[1])):
        flipped = bytearray(whole)
        flipped[start + bit // 8] ^= 1 << bit % 8
        found = [each.frames for each in spool.records(bytes(flipped))]
        assert all(tuple(frames(each)) in found for each in range(COUNT) if each != 1), bit


def test_cut_zeroed_and_overwritten_anywhere() -> None:
    whole = b"".join(RECORDS)
    size = len(RECORDS[0])
    for at in range(len(whole)):
        assert [each.number for each in spool.records(whole[:at])] == list(range(at // size))
        for hole in (b"\0" * 30, b"dj" * 15, RECORDS[0][:30]):
            spoiled = (whole[:at] + hole + whole[at + 30 :])[: len(whole)]
            found = [each.number for each in spool.records(spoiled)]
            touched = range(at // size, min(at + 29, len(whole) - 1) // size + 1)
            assert set(range(COUNT)) - set(touched) <= set(found), (at, hole)
        inserted = whole[:at] + b"x" + whole[at:]
        assert len(list(spool.records(inserted))) >= COUNT - 1


CONTENTS = dict(damage.contents(b"".join(RECORDS), 48))


@pytest.mark.parametrize("part", ["contents", "others"])
def test_the_recorder_goes_on_behind_any_file(tmp_path: Path, part: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Two files: what is in the other one stays, in order, and new records get numbers of their own."""
    damages = damage.written(iter(CONTENTS.items())) if part == "contents" else damage.others()
    for at, (name, spoil) in enumerate(damages):
        directory = tmp_path / str(at)
        directory.mkdir(mode=0o700)
        bad = directory / spool.file_name(0)
        spoil(bad)
        good = directory / spool.file_name(COUNT)
        good.write_bytes(spool.pack(spool.IOPUB, COUNT, 0, spool.NOBODY, frames(COUNT)))
        log = SpoolWriter(directory, 1 << 20)
        recovered = [each.number for each in log.recover()]
        assert recovered[-1] == COUNT, name
        log.append(spool.IOPUB, spool.NOBODY, frames(COUNT + 1))
        log.close()
        found = read(directory)
        assert found[-2:] == [COUNT, COUNT + 1], name
        assert found == sorted(found), name
        again = [each.number for each in SpoolWriter(directory, 1 << 20).recover()]
        assert again[-1] == COUNT + 1 and again == sorted(set(again)), name
        if part == "others" and name not in {"removed", "a huge file"}:
            assert str(bad) in capsys.readouterr().err


@pytest.mark.parametrize("spoil", list(damage.others()), ids=lambda each: each[0])
def test_something_else_in_the_place_of_the_directory(tmp_path: Path, spoil: damage.Damage) -> None:
    directory = tmp_path / "spool"
    spoil[1](directory)
    log = SpoolWriter(directory, 1 << 20)
    assert list(log.recover()) == []
    log.append(spool.IOPUB, spool.NOBODY, frames(0))
    assert read(directory) == [0]
    damage.remove(directory)
    log.close()
    log.append(spool.IOPUB, spool.NOBODY, frames(1))
    assert read(directory) == [1]


def marks(path: Path) -> bytes:
    table = CursorTable(path)
    for number, session in enumerate(("one", "two", "three")):
        slot, _ = table.claim(session, 1.0, frozenset())
        table.put(slot, Cursor(bytes([number]) * 16, b"2026"))
        table.put(slot, Cursor(bytes([number + 1]) * 16, b"2026"))
        table.leave(slot, 2.0, held=True)
    table.close()
    return path.read_bytes()


def test_every_damage_of_the_marks_costs_one_tab_at_most(tmp_path: Path) -> None:
    path = tmp_path / "marks"
    good = marks(path)
    flips = [(name, data) for name, data in damage.contents(good, 256) if name.startswith("bit")]
    for name, data in flips:
        path.write_bytes(data)
        left = {each.session for each in cursors.read(path)}
        assert {"two", "three"} <= left, name
    for name, spoil in [*damage.written(damage.contents(good, 16)), *damage.others()]:
        damage.remove(path)
        spoil(path)
        cursors.read(path)
        table = CursorTable(path, lambda _: None)
        slot, _ = table.claim("new", 3.0, frozenset())
        table.put(slot, Cursor(b"n" * 16, b"2027"))
        table.leave(slot, 4.0, held=True)
        table.close()
        (found,) = [each for each in cursors.read(path) if each.session == "new"]
        assert found.cursor == Cursor(b"n" * 16, b"2027"), name


@pytest.mark.parametrize("deed", ["cut", "removed", "replaced"])
def test_marks_that_are_cut_or_removed_while_the_server_holds_them(tmp_path: Path, deed: str) -> None:
    path = tmp_path / "marks"
    table = CursorTable(path)
    slot, _ = table.claim("one", 1.0, frozenset())
    match deed:
        case "cut":
            os.truncate(path, 0)
        case "removed":
            path.unlink()
        case _:
            path.unlink()
            path.write_bytes(b"x" * 9000)
    table.put(slot, Cursor(b"a" * 16, b"2026"))
    table.leave(slot, 2.0, held=True)
    assert ("one", Cursor(b"a" * 16, b"2026")) in {(each.session, each.cursor) for each in cursors.read(path)}
