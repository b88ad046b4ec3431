"""JSON documents between our processes and in our files: read without trust, and as checked records.

Pure: text and bytes in, plain data or dataclasses out.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar

Record = TypeVar("Record")
DEEPEST = 32
"""Nesting of a document; none of ours is near it, and Python's own limit depends on who calls."""
_LARGEST = 1 << 63
_LONGEST_DIGITS = 20
"""Of 2**63 and its sign."""


def parsed(data: bytes | str) -> Any:  # noqa: ANN401 - JSON
    """JSON as we write it. ValueError for any other text: no UTF-8, nested without end, or with a number that is none
    (NaN, 1e999) or that no clock and no counter has.
    """
    try:
        found = json.loads(
            data.decode() if isinstance(data, bytes) else data,
            parse_int=_integer, parse_float=_finite, parse_constant=_finite,
        )  # fmt: skip
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if _deeper_than(DEEPEST, found):
        raise ValueError("nested too deeply")
    return found


def document(data: bytes | str) -> dict[str, Any]:
    """As `parsed`, of an object. ValueError."""
    found = parsed(data)
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - one kind of error for whatever is damaged
    return found


def structured(document: object, kind: type[Record]) -> Record:
    """The document as `kind`, a dataclass of scalars, T | None, Literal, tuple[T, ...], tuple[T, U], frozenset[str],
    dict[str, str] and other such dataclasses. Unknown fields are ignored. ValueError names the field that does not fit.
    """
    found = _structured(document, kind, "")
    assert isinstance(found, kind)  # noqa: S101 - for mypy
    return found


def _structured(value: Any, kind: Any, path: str) -> Any:  # noqa: ANN401, PLR0911 - JSON and annotations; one for each form
    """`path` is for messages."""
    from typing import Literal, get_args, get_origin  # noqa: PLC0415 - the supervisor only encodes

    origin, inner = get_origin(kind), get_args(kind)
    if is_dataclass(kind) and isinstance(value, dict):
        return _record(value, kind, path)
    if origin is tuple and isinstance(value, list):
        kinds = (inner[0],) * len(value) if inner[-1] is ... else inner
        if len(kinds) == len(value):
            return tuple(_structured(each, kinds[at], f"{path}[{at}]") for at, each in enumerate(value))
    elif origin is frozenset and isinstance(value, list):
        return frozenset(_structured(each, inner[0], f"{path}[{at}]") for at, each in enumerate(value))
    elif origin is dict and isinstance(value, dict):
        return {name: _structured(each, inner[1], f"{path}.{name}") for name, each in value.items()}
    elif origin is Literal and value in inner:
        return value
    elif type(None) in inner:
        return None if value is None else _structured(value, inner[0], path)
    elif type(value) is kind:
        return value
    elif kind is float and type(value) is int:
        return float(value)
    raise ValueError(f"{path or 'the document'} is of another type")


def _record(document: dict[str, Any], kind: Any, path: str) -> Any:  # noqa: ANN401 - a dataclass
    from typing import get_type_hints  # noqa: PLC0415 - as above

    hints, found = get_type_hints(kind), {}
    for field in fields(kind):
        at = f"{path}.{field.name}" if path else field.name
        if field.name in document:
            found[field.name] = _structured(document[field.name], hints[field.name], at)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{at} is missing")
    return kind(**found)


def _integer(text: str) -> int:
    if len(text) > _LONGEST_DIGITS or not -_LARGEST <= (found := int(text)) < _LARGEST:
        raise ValueError(f"it holds the number {text[:_LONGEST_DIGITS]}")
    return found


def _finite(text: str) -> float:
    found = float(text)
    if not abs(found) <= _LARGEST:
        raise ValueError(f"it holds the number {text[:_LONGEST_DIGITS]}")
    return found


def _deeper_than(most: int, found: object) -> bool:
    inner = found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    return most < 0 or any(_deeper_than(most - 1, each) for each in inner)
