"""A problem with the settings: where, what was found, what is allowed, what to type; and its one-line form.

No text made here holds a secret: callers name the setting and the kind of value that they found.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import attrs

from jupyterd.settings.schema import Settings
from jupyterd.text import printable

_SHOWN_MAX = 60


@attrs.frozen
class Origin:
    """Where a value came from: a file with its line, "environment NAME", "--port", "credential NAME"."""

    place: str
    line: int | None = None

    def __str__(self) -> str:
        place = printable(self.place)
        return place if self.line is None else f"{place}:{self.line}"


DEFAULT = Origin("built-in default")


@attrs.frozen
class Problem:
    """`found` says what is there, `wanted` what is allowed, `advice` the nearest spelling or what to type.
    `hides`: what else its file says could not be read.
    """

    origin: Origin
    found: str
    wanted: str = ""
    advice: str = ""
    hides: bool = False

    def __str__(self) -> str:
        return f"{self.origin}: " + "; ".join(part for part in (self.found, self.wanted, self.advice) if part)


@attrs.frozen
class KnownSettings:
    """The settings as far as they are known in spite of problems; those named in `doubtful` have a default in place
    of what was meant. With it the machine can be looked at all the same, and every problem told at once.
    """

    settings: Settings
    origins: Mapping[str, Origin]
    doubtful: frozenset[str]


class Invalid(Exception):  # noqa: N818 - reads as `except Invalid`: an adjective, like the settings it is about
    """The settings cannot be used; `problems` are all that were seen, in the order of the layers."""

    def __init__(self, problems: tuple[Problem, ...], known: KnownSettings | None = None) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems
        self.known = known


def quoted(text: str) -> str:
    """The text in TOML's double quotes, cut after 60 characters."""
    cut = text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "..."
    return printable(json.dumps(cut, ensure_ascii=False))


def bare(key: str) -> str:
    """The key in TOML syntax, with quotes only where they are needed."""
    plain = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key[:_SHOWN_MAX] if plain else quoted(key)


def dotted(path: Iterable[str]) -> str:
    """The dotted key in TOML syntax."""
    return ".".join(map(bare, path))


def described(raw: object, *, secret: bool = False) -> str:
    """The value for a message; only the kind of a secret one."""
    match raw:
        case bool():
            return "true" if raw else "false"
        case str():
            return "text" if secret else quoted(raw)
        case int() | float():
            # str() of an int with thousands of digits raises: sys.set_int_max_str_digits.
            huge = isinstance(raw, int) and raw.bit_length() > 256  # noqa: PLR2004 - far beyond any setting
            return "a number" if secret or huge else str(raw)
        case list():
            return "a list"
        case Mapping():
            return "a table"
        case _:
            return "a date or time"


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word that is most similar to this one, None if none is."""
    from difflib import get_close_matches  # noqa: PLC0415 - 6 ms of import that only a mistake pays

    found = get_close_matches(word[:200].lower(), list(known), n=1, cutoff=cutoff)
    return found[0] if found else None
