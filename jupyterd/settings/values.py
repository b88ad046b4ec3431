"""Converts one value, from TOML or from text (environment, command line), to the type of its setting, strictly.

Nothing is coerced: in TOML "8888" is not a whole number and 1 is not true. A library for this (cattrs) would need its
own hook replaced for each of the five kinds, and takes 11 ms to import at each start.
"""

from __future__ import annotations

import math
import re

import attrs

from jupyterd.settings.problems import described, nearest, quoted
from jupyterd.settings.table import Setting, Value
from jupyterd.text import printable

_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})")


@attrs.frozen
class Fault:
    """One thing that is wrong with a value; `item` is the position in a list. Never holds a secret value."""

    found: str
    wanted: str = ""
    advice: str = ""
    item: int | None = None


Judged = Value | Fault | list[Fault]
"""The value, or its faults: a list of faults for a setting that is a list, one for each wrong item."""


def from_toml(row: Setting, raw: object) -> Judged:  # noqa: PLR0911 - one for each kind
    """Convert a value that tomllib returned."""
    match row.kind, raw:
        case "bool", bool():
            return raw
        case "int", int() if not isinstance(raw, bool):
            return _in_range(row, raw)
        case "float", int() | float() if not isinstance(raw, bool):
            return _in_range(row, raw)
        case "str", str():
            return _text(row, raw)
        case "list", str():  # ip = "*" is what everybody writes
            return _items(row, [raw])
        case "list", list():
            return _items(row, raw)
        case "list", dict() if row.pairs:
            return _pairs(row, raw)
        case _:
            return Fault(_is(row, raw), f"allowed is {allowed(row)}", _type_advice(row, raw))


def from_text(row: Setting, raw: str) -> Judged:
    """Convert text from the environment or the command line: no quotes, lists with commas."""
    text = raw.strip()
    match row.kind:
        case "bool" if text.lower() in _TRUE | _FALSE:
            return text.lower() in _TRUE
        case "int" if _WHOLE.fullmatch(text):
            return _in_range(row, int(text))
        case "float" if _NUMBER.fullmatch(text):
            return _in_range(row, float(text))
        case "str":
            return _text(row, text)
        case "list":
            return _items(row, [part.strip() for part in text.split(",")])
        case _:
            return Fault(_is(row, raw), f"allowed is {allowed(row)}")


def allowed(row: Setting) -> str:
    """What the setting takes, in words: "a whole number from 1 to 65535"."""
    match row.kind:
        case "bool":
            return "true or false"
        case "int" | "float":
            kind = "a whole number" if row.kind == "int" else "a number"
            limits = f" from {_plain(row.least)} to {_plain(row.most)}" if row.most is not None else ""
            unit = {"s": " (seconds)", "": ""}.get(row.unit, f" {row.unit}")
            return kind + limits + unit
        case "list":
            return "a list of strings"
        case "str":
            return "one of " + ", ".join(map(quoted, row.choices)) if row.choices else "text"


def toml(value: object) -> str:
    """The value in TOML syntax."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return '"' + printable(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
        case tuple() | list():
            return "[" + ", ".join(toml(each) for each in value) + "]"
        case _:
            return str(value)


def _plain(number: float | None) -> str:
    return f"{number:g}" if number is not None and number < 1e6 else str(number)  # noqa: PLR2004 - %g would round


def _is(row: Setting, raw: object) -> str:
    return f"{row.name} is {described(raw, secret=row.secret)}"


def _in_range(row: Setting, raw: float) -> Value | Fault:
    least = -math.inf if row.least is None else row.least
    most = math.inf if row.most is None else row.most
    # Written so that nan, which compares with nothing, is outside; an int is compared before float() can overflow.
    if not least <= raw <= most:
        return Fault(_is(row, raw), f"allowed is {allowed(row)}")
    return raw if row.kind == "int" else float(raw)


def _text(row: Setting, raw: str) -> Value | Fault:
    fault = _unprintable(row, raw)
    if fault is not None:
        return fault
    if not row.choices or raw in row.choices:
        return raw
    if raw.upper() in row.choices:
        return raw.upper()
    guess = nearest(raw.upper(), row.choices) or nearest(raw, row.choices)
    close = next((each for each in row.choices if each.startswith(raw.upper()) and raw), guess)
    return Fault(_is(row, raw), f"allowed is {allowed(row)}", f"did you mean {quoted(close)}?" if close else "")


def _items(row: Setting, raw: list[object]) -> Judged:
    items: list[str] = []
    faults: list[Fault] = []
    for index, each in enumerate(raw):
        if not isinstance(each, str):
            faults.append(Fault(f"{row.name} holds {described(each)}", "allowed is text in double quotes", item=index))
        elif (fault := _unprintable(row, each)) is not None:
            faults.append(attrs.evolve(fault, item=index))
        else:
            items.append(each)
    return faults or tuple(items)


def _pairs(row: Setting, raw: dict[str, object]) -> Judged:
    """A section as NAME=VALUE texts."""
    wrong = [name for name, value in raw.items() if not isinstance(value, str)]
    if wrong:
        return [
            Fault(f"{row.name}.{name} is {described(raw[name])}", "allowed is text in double quotes") for name in wrong
        ]
    return _items(row, [f"{name}={value}" for name, value in raw.items()])


def _unprintable(row: Setting, raw: str) -> Fault | None:
    """The fault of text with line breaks, NUL or undecodable bytes, which no setting may hold; else None."""
    if raw.isprintable():
        return None
    what = "bytes that are not UTF-8" if any("\ud800" <= each <= "\udfff" for each in raw) else "control characters"
    return Fault(f"{row.name} holds {what}" + ("" if row.secret else f": {quoted(raw)}"), "allowed is printable text")


def _type_advice(row: Setting, raw: object) -> str:  # noqa: PLR0911 - one for each mix-up
    """The line to write instead, where the intention is clear; "" otherwise."""
    if row.secret:
        return "write it in double quotes"
    match raw:
        case str() if row.kind != "list":
            meant = from_text(row, raw)
            return "" if isinstance(meant, Fault | list) else f"write it without quotes: {row.key} = {toml(meant)}"
        case 0 | 1 if row.kind == "bool":
            return f"write {row.key} = {toml(bool(raw))}"
        case float() if row.kind == "int" and raw.is_integer() and abs(raw) < 1e9:  # noqa: PLR2004 - beyond any setting
            return f"write {row.key} = {int(raw)}"
        case bool() | list() | dict():
            return ""
        case int() | float() if row.kind == "str":
            return f'write it in double quotes: {row.key} = "{described(raw)}"'
        case _:
            return ""
