"""`@value` makes what dataclass(frozen=True, slots=True) makes, whatever is done with it."""

from __future__ import annotations

import pickle
import weakref
from dataclasses import FrozenInstanceError, asdict, dataclass, fields, replace

import pytest

from jupyterd.protocol.value import value


@value
class Point:
    x: int
    y: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Plain:
    x: int
    y: tuple[int, ...] = ()


@pytest.mark.parametrize("content", [(1,), (1, (2, 3))])
def test_it_is_what_a_dataclass_is(content: tuple[int] | tuple[int, tuple[int, ...]]) -> None:
    made, plain = Point(*content), Plain(*content)
    assert repr(made) == repr(plain).replace("Plain", "Point")
    assert hash(made) == hash(plain) == hash((plain.x, plain.y))
    assert (made == Point(*content), made == replace(made, x=7), made == plain) == (True, False, False)
    assert asdict(made) == asdict(plain)
    assert [each.name for each in fields(made)] == ["x", "y"]
    assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301 - our own bytes
    match made:
        case Point(x, y):
            assert (x, y) == (plain.x, plain.y)


def test_it_cannot_be_changed_and_has_no_dictionary() -> None:
    made = Point(1)
    for change in (lambda: setattr(made, "x", 2), lambda: setattr(made, "z", 2), lambda: delattr(made, "x")):
        with pytest.raises(FrozenInstanceError):
            change()
    assert made == Point(1)
    assert not hasattr(made, "__dict__")
    with pytest.raises(TypeError):
        weakref.ref(made)


def test_the_methods_are_shared() -> None:
    @value
    class Other:
        z: str

    for name in ("__repr__", "__hash__", "__setattr__", "__delattr__"):
        assert getattr(Other, name) is getattr(Point, name)
