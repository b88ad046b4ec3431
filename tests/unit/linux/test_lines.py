"""Lines out of pieces of any size."""

from __future__ import annotations

from jupyterd.linux.lines import Lines


def test_pieces_of_every_size_give_the_same_lines() -> None:
    data = b"one\n\n" + b"x" * 20 + b"\ntwo\n" + b"y" * 50 + b"\nthree\nhalf"
    for size in range(1, len(data) + 1):
        lines = Lines(10)
        came = [line for start in range(0, len(data), size) for line in lines.feed(data[start : start + size])]
        assert came == [b"one", b"", None, b"two", None, b"three"], size
        assert lines.rest() == b"half"


def test_a_line_without_an_end_takes_no_memory() -> None:
    lines = Lines(10)
    assert [line for _ in range(100) for line in lines.feed(b"x" * 1000)] == [None]
    assert lines.rest() == b""


def test_a_reader_that_takes_the_first_line_only_does_not_get_it_again() -> None:
    lines = Lines(10)
    assert next(iter(lines.feed(b"one\n"))) == b"one"
    assert next(iter(lines.feed(b"two\n"))) == b"two"
