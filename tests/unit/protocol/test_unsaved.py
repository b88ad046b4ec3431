"""Requests whose output is not saved: the last of each cell, whatever happens to the file."""

from __future__ import annotations

import pytest

from jupyterd.protocol import unsaved


def made(number, cell=None, code="1"):
    return unsaved.request(f"m{number}", "tab", cell or f"c{number}", code, 1000.0 + number)


def ids(directory):
    return [each.msg_id for each in unsaved.read(directory)]


def test_they_come_back_as_they_were_the_oldest_first(tmp_path):
    assert unsaved.read(tmp_path) == []
    assert unsaved.oldest(tmp_path) is None
    every = [made(1), made(2, code="a\nb ü \ud800")]
    for each in every:
        unsaved.add(tmp_path, each)
    assert unsaved.read(tmp_path) == every
    assert every[0].date == "1970-01-01T00:16:41.000000"
    assert unsaved.oldest(tmp_path) == every[0].date.encode()
    assert (tmp_path / unsaved.NAME).stat().st_mode & 0o777 == 0o600


def test_the_last_request_of_a_cell_supersedes_the_others(tmp_path):
    for each in (made(1, "a"), made(2, "b"), made(3, "a")):
        unsaved.add(tmp_path, each)
    assert ids(tmp_path) == ["m2", "m3"]


@pytest.mark.parametrize(
    ("settled", "left"), [((), ["m1", "m2"]), (("m1",), ["m2"]), (("m3",), ["m1", "m2"]), (("m1", "m2"), [])]
)
def test_what_is_saved_is_no_longer_among_them(tmp_path, settled, left):
    for each in (made(1), made(2)):
        unsaved.add(tmp_path, each)
    unsaved.settle(tmp_path, settled)
    assert ids(tmp_path) == left


def test_a_torn_or_strange_line_costs_itself(tmp_path):
    unsaved.add(tmp_path, made(1))
    file = tmp_path / unsaved.NAME
    with file.open("ab") as opened:
        opened.write(b'[1]\n{"msg_id": 3}\n\xff\n' + b'{"msg_id": "torn", "ses')
    unsaved.add(tmp_path, made(2))
    assert ids(tmp_path) == ["m1", "m2"]


def test_what_is_in_its_place_and_no_file_of_ours_is_set_aside(tmp_path):
    (tmp_path / "other").write_text("precious")
    (tmp_path / unsaved.NAME).symlink_to("other")
    assert unsaved.read(tmp_path) == []
    unsaved.add(tmp_path, made(1))
    assert ids(tmp_path) == ["m1"]
    assert (tmp_path / "other").read_text() == "precious"


def test_the_file_is_bounded_and_the_newest_stay(tmp_path):
    for number in range(60):
        unsaved.add(tmp_path, made(number, code="x" * 100_000))
    assert (tmp_path / unsaved.NAME).stat().st_size < 5 << 20
    assert ids(tmp_path)[-10:] == [f"m{number}" for number in range(50, 60)]


def test_the_last_question_comes_back(tmp_path):
    assert unsaved.question(tmp_path) is None
    for shown in (unsaved.Question("{}", "{}", "{}"), unsaved.Question("{}", "{}", '{"prompt": "ü"}', answered=True)):
        unsaved.put_question(tmp_path, shown)
        assert unsaved.question(tmp_path) == shown
    (tmp_path / unsaved.QUESTION).write_bytes(b'{"header"')
    assert unsaved.question(tmp_path) is None
