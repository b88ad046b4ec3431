"""Messages between our processes as lines: {"ClassName": {"field": value}}, tuples as JSON lists."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from jupyterd.protocol import documents


def encode(message: Any) -> bytes:  # noqa: ANN401 - a dataclass
    """The message as one line, newline included."""
    return json.dumps({type(message).__name__: asdict(message)}).encode() + b"\n"


def decode(line: bytes, kinds: Mapping[str, type[Any]]) -> Any:  # noqa: ANN401 - one of `kinds`
    """One line back, of one of the classes in `kinds` by name. ValueError shows the beginning of any other line."""
    try:
        ((name, fields),) = documents.document(line).items()
        return kinds[name](**{field: _frozen(value) for field, value in fields.items()})
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not a message: {line[:80]!r}") from error


def by_name(*kinds: type[Any]) -> dict[str, type[Any]]:
    """The classes by name, as `decode` takes them."""
    return {kind.__name__: kind for kind in kinds}


def _frozen(value: Any) -> Any:  # noqa: ANN401 - JSON
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
