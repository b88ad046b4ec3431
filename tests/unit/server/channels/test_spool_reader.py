"""The spool's format, its bound, and reading it from a mark; the marks, torn writes included."""

from __future__ import annotations

import json
import resource
import struct

from jupyterd.protocol import cursors, spool, unsaved
from jupyterd.protocol.cursors import Cursor, CursorTable
from jupyterd.recorder.spool_writer import SpoolWriter
from jupyterd.server.channels.spool_reader import SpoolReader, before, end


def frames(number, kind="stream", size=10):
    header = {"msg_id": f"m{number}", "msg_type": kind, "date": f"2026-01-01T00:00:00.{number:06d}Z"}
    return [b"sig", json.dumps(header).encode(), b"{}", b"{}", b"x" * size]


def mark(number):
    header = frames(number)[1]
    return Cursor(spool.digest(header), spool.date(header))


def filled(directory, count, max_bytes=1 << 20, size=10):
    log = SpoolWriter(directory, max_bytes)
    assert list(log.recover()) == []
    for number in range(count):
        log.append(spool.IOPUB, spool.NOBODY, frames(number, size=size))
    return log


def read(directory, start):
    reader = SpoolReader(directory, start)
    reader.begin()
    found = []
    while batch := reader.read():
        found += batch
    reader.close()
    return found


def ids(found):
    return [json.loads(each.frames[1])["msg_id"] for each in found]


def test_a_record_comes_back_as_it_was_and_a_torn_one_does_not_come():
    packed = spool.pack(spool.SHELL, 7, 99, spool.tag("s"), [b"a", b"head", b"", b"c", b"d", b"buffer"])
    (found,) = spool.records(packed)
    assert (found.kind, found.number, found.before, found.tag, found.size) == (2, 7, 99, spool.tag("s"), len(packed))
    assert found.frames == (b"a", b"head", b"", b"c", b"d", b"buffer")
    assert found.digest == spool.digest(b"head")
    for cut in range(len(packed)):
        assert list(spool.records(packed + packed[:cut])) == [found]


def test_reading_begins_behind_the_mark(tmp_path):
    CursorTable(tmp_path / spool.MARKS).claim("tab", 1.0, frozenset())
    filled(tmp_path, 50, size=10_000)
    assert len(spool.files(tmp_path)) > 3
    assert ids(read(tmp_path, mark(17)))[:2] == ["m18", "m19"]
    assert read(tmp_path, mark(49)) == []
    assert end(tmp_path) == mark(49)


def test_a_mark_that_the_spool_does_not_have_is_found_by_its_date(tmp_path):
    filled(tmp_path, 50)
    unknown = Cursor(bytes(range(16)), b"2026-01-01T00:00:00.0000175")
    assert ids(read(tmp_path, unknown))[0] == "m18"


def test_reading_goes_on_with_what_is_written_meanwhile_over_the_ends_of_files(tmp_path):
    log = filled(tmp_path, 3)
    reader = SpoolReader(tmp_path, mark(1))
    reader.begin()
    found = reader.read()
    assert reader.read() == []
    for number in range(3, 60):
        log.append(spool.IOPUB, spool.NOBODY, frames(number, size=30_000))
        found += reader.read()
    assert ids(found) == [f"m{number}" for number in range(2, 60)]


def test_another_recorder_goes_on_behind_a_torn_record(tmp_path):
    filled(tmp_path, 5).close()
    (path,) = spool.files(tmp_path)
    with path.open("ab") as file:
        file.write(spool.pack(0, 5, 0, spool.NOBODY, frames(5))[:-3])
    log = SpoolWriter(tmp_path, 1 << 20)
    assert len(list(log.recover())) == 5
    log.append(spool.IOPUB, spool.NOBODY, frames(6))
    found = read(tmp_path, mark(3))
    assert ids(found) == ["m4", "m6"] and [each.number for each in found] == [4, 5]


def test_without_a_tab_that_waits_only_the_last_seconds_are_kept(tmp_path):
    filled(tmp_path, 400, size=10_000)
    assert sum(each.stat().st_size for each in spool.files(tmp_path)) < 3 * (1 << 16)


def test_what_a_tab_waits_for_is_kept_and_beyond_the_bound_the_middle_goes(tmp_path):
    table = CursorTable(tmp_path / spool.MARKS)
    slot, _ = table.claim("tab", 1.0, frozenset())
    log = filled(tmp_path, 1)
    table.put(slot, mark(0))
    for number in range(1, 90):
        log.append(spool.IOPUB, spool.NOBODY, frames(number, size=10_000))
    assert len(read(tmp_path, mark(0))) == 89
    for number in range(90, 900):
        kind, size = ("status", 50) if number % 10 == 0 else ("stream", 10_000)
        log.append(spool.IOPUB, spool.NOBODY, frames(number, kind, size))
    found = [each.number for each in read(tmp_path, mark(0))]
    assert found[:30] == list(range(1, 31)) and found[-20:] == list(range(880, 900))
    assert sum(each.stat().st_size for each in spool.files(tmp_path)) <= 1 << 20
    table.put(slot, mark(899))
    for number in range(900, 920):
        log.append(spool.IOPUB, spool.NOBODY, frames(number, size=10_000))
    assert [each.number for each in read(tmp_path, mark(899))] == list(range(900, 920))
    assert sum(each.stat().st_size for each in spool.files(tmp_path)) < 1 << 19


def test_a_disk_that_takes_no_more_costs_messages_and_tells_their_number(tmp_path, capsys):
    log = filled(tmp_path, 2)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        for number in (2, 3):
            log.append(spool.IOPUB, spool.NOBODY, frames(number))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert capsys.readouterr().err.count("output is not kept") == 1
    log.append(spool.IOPUB, spool.NOBODY, frames(4))
    assert [each.number for each in read(tmp_path, mark(1))] == [4]


def test_a_tab_finds_its_mark_again_and_a_new_one_has_none(tmp_path):
    table = CursorTable(tmp_path / "marks")
    slot, found = table.claim("one", 1.0, frozenset())
    assert found is None
    table.put(slot, mark(5))
    table.leave(slot, 2.0, held=True)
    table.close()
    table = CursorTable(tmp_path / "marks")
    assert table.claim("one", 3.0, frozenset()) == (slot, mark(5))
    other, found = table.claim("two", 3.0, frozenset())
    assert found is None and other != slot
    table.leave(other, 4.0, held=False)
    assert [(each.session, each.held) for each in cursors.read(tmp_path / "marks")] == [("one", True), ("two", False)]
    assert cursors.read(tmp_path / "none") == []


def test_a_server_killed_while_it_writes_a_mark_loses_one_step(tmp_path):
    path = tmp_path / "marks"
    table = CursorTable(path)
    slot, _ = table.claim("one", 1.0, frozenset())
    for number in (1, 2, 3):
        table.put(slot, mark(number))
    whole = path.read_bytes()
    table.put(slot, mark(4))
    written = path.read_bytes()
    changed = [at for at in range(len(whole)) if whole[at] != written[at]]
    for cut in range(changed[0], changed[-1] + 1):
        path.write_bytes(written[:cut] + whole[cut:])
        assert cursors.read(path)[0].cursor in {mark(3), mark(4)}


def test_the_tab_that_was_away_longest_makes_room_and_connected_ones_stay(tmp_path):
    table = CursorTable(tmp_path / "marks")
    for number in range(cursors.SLOTS):
        slot, _ = table.claim(f"tab{number}", float(number), frozenset())
        table.leave(slot, float(number), held=number != 9)
    connected = frozenset({"tab0"})
    table.claim("new", 99.0, connected)
    table.claim("newer", 99.0, connected | {"new"})
    left = {each.session for each in cursors.read(tmp_path / "marks")}
    assert "tab9" not in left and "tab1" not in left and {"tab0", "new", "newer"} <= left
    assert struct.calcsize("<BBd64s") < 96


def asked(log, request, count):
    """`count` messages that belong to this request."""
    parent = json.dumps({"msg_id": request}).encode()
    for number in range(count):
        sig, header, _, *rest = frames(number, size=2000)
        log.append(
            spool.IOPUB,
            spool.NOBODY,
            [sig, header.replace(b'"m%d"' % number, b'"%s-%d"' % (request.encode(), number)), parent, *rest],
        )


def test_reading_begins_before_the_first_message_of_a_request(tmp_path):
    unsaved.add(tmp_path, unsaved.CellRequest("a", "tab", "cell", "1", "2026-01-01T00:00:00.000000"))
    log = SpoolWriter(tmp_path, 1 << 20)
    for request in ("r1", "r2", "r3"):
        asked(log, request, 100)
    assert len(spool.files(tmp_path)) > 3
    for request, left in (("r1", 300), ("r2", 200), ("r3", 100)):
        cursor = before(tmp_path, request)
        assert cursor is not None
        found = ids(read(tmp_path, cursor))
        assert len(found) == left
        assert found[0] == f"{request}-0"
    assert before(tmp_path, "r4") is None


def test_the_spool_keeps_what_belongs_to_requests_that_are_not_saved(tmp_path):
    since = unsaved.CellRequest("m20", "tab", "cell", "1", "2026-01-01T00:00:00.000020")
    unsaved.add(tmp_path, since)
    log = filled(tmp_path, 50, size=10_000)
    assert set(range(21, 50)) <= {int(each[1:]) for each in ids(read(tmp_path, Cursor()))}
    unsaved.settle(tmp_path, {"m20"})
    for number in range(50, 80):
        log.append(spool.IOPUB, spool.NOBODY, frames(number, size=10_000))
    assert len(spool.files(tmp_path)) <= 2, "nobody needs more"


def test_what_is_kept_for_a_closed_page_is_kept_until_nothing_of_it_is_unsaved(tmp_path):
    path = tmp_path / spool.MARKS
    table = CursorTable(path)
    for session, held, gone in (
        ("slept", True, False),
        ("closed", True, True),
        ("done", True, True),
        ("no", False, True),
    ):
        slot, _ = table.claim(session, 1.0, frozenset())
        table.leave(slot, 2.0, held=held, gone=gone)

    def kept():
        return [each.session for each in cursors.read(path) if each.held]

    assert kept() == ["slept", "closed", "done"]
    assert cursors.release(path, {"closed"}) == ["done"]
    assert kept() == ["slept", "closed"]
    assert cursors.release(path, ()) == ["closed"]
    assert cursors.release(path, ()) == []
    assert kept() == ["slept"]
