"""Messages as lines."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from jupyterd.protocol import codec


@dataclass(frozen=True, slots=True)
class Told:
    names: tuple[str, ...]
    pairs: tuple[tuple[str, int], ...] = ()
    problem: str | None = None


KINDS = codec.by_name(Told)


@pytest.mark.parametrize("message", [Told(()), Told(("a", "\n")), Told(("a",), (("b", 1), ("c", 2)), "ü")])
def test_there_and_back(message: Told) -> None:
    line = codec.encode(message)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert codec.decode(line, KINDS) == message


@pytest.mark.parametrize(
    "line",
    [
        b"", b"{", b"[]", b"1", b"null", b'{"Other": {}}', b'{"Told": {}}', b'{"Told": {"names": [], "more": 1}}',
        b'{"Told": []}', b'{"Told": {"names": []}, "Told2": {}}', b"\xff\xff",
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_its_beginning(line: bytes) -> None:
    with pytest.raises(ValueError, match="not a message"):
        codec.decode(line, KINDS)
