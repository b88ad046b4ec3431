"""`@value`: a frozen dataclass with slots whose methods are shared by all value classes.

The supervisor's whole state is about ninety small records. dataclasses compiles for each of them a __repr__, a
__hash__, a __setattr__ and a __delattr__ of its own; sharing these, and letting the class without slots go, makes the
process 0.8 MB smaller (bench/idle).
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, field
from typing import Any, TypeVar, dataclass_transform

_Class = TypeVar("_Class")


def _values(self: Any) -> tuple[Any, ...]:  # noqa: ANN401 - any value class
    return tuple([getattr(self, name) for name in self.__dataclass_fields__])


def _repr(self: Any) -> str:  # noqa: ANN401 - any value class
    shown = zip(self.__dataclass_fields__, _values(self), strict=True)
    return f"{type(self).__qualname__}({', '.join(f'{name}={value!r}' for name, value in shown)})"


def _hash(self: object) -> int:
    return hash(_values(self))


def _refuse(_self: object, name: str, *_value: object) -> None:
    raise FrozenInstanceError(f"cannot change field {name!r}")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[_Class]) -> type[_Class]:
    """dataclass(frozen=True, slots=True) of `cls`: equality by fields, replace(), match patterns, pickling."""
    made: Any = dataclass(frozen=True, slots=True, repr=False)(cls)
    made.__repr__, made.__hash__, made.__setattr__, made.__delattr__ = _repr, _hash, _refuse, _refuse
    if "__weakref__" in vars(made):  # Python 3.11 leaves the first class's own there, which keeps that class alive
        del made.__weakref__
    return made  # type: ignore[no-any-return]
