"""Changes values in the text of a jupyterd.toml, in place: comments, order and everything else stay as they are.

Pure, and proved by reading the result back.
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from jupyterd.settings import lines
from jupyterd.settings.table import SETTINGS, Setting, Value
from jupyterd.settings.values import toml

_MANY_LINES = 200
"""No value of ours is longer."""


def edited(text: str, changes: Mapping[str, Value]) -> str:
    """The text with these values, by dotted name. ValueError (also of tomllib) when a person has to do it."""
    for name, value in changes.items():
        text = _with(text, SETTINGS[name], value)
    return text


def _with(text: str, row: Setting, value: Value) -> str:
    plain: Any = list(value) if isinstance(value, tuple) else value
    document = tomllib.loads(text)
    wanted = copy.deepcopy(document)
    section = wanted.setdefault(row.section, {})
    if not isinstance(section, dict):
        raise ValueError(f"{row.section} is not a section there")  # noqa: TRY004 - of the text, not of an argument
    section[row.key] = plain
    if wanted == document:
        return text
    for candidate in _candidates(text, row, toml(value), present=row.key in document.get(row.section, {})):
        try:
            if tomllib.loads(candidate) == wanted:
                return candidate
        except ValueError:
            continue
    raise ValueError(f"{row.name} stands there in a form that is not changed by a program: write {toml(value)}")


def _candidates(text: str, row: Setting, value: str, *, present: bool) -> Iterator[str]:
    """Texts that may be it, the one that changes least first."""
    # Not splitlines(): that also splits at characters that are none of TOML's line ends.
    all_lines = text.split("\n")
    numbers = lines.line_numbers(text)
    if present:
        yield from _replaced(all_lines, numbers.get((row.section, row.key), 0) - 1, value)
        return
    head = numbers.get((row.section,))
    if head is None:
        yield text + ("" if text.endswith("\n") or not text else "\n") + f"\n[{row.section}]\n{row.key} = {value}\n"
        return
    for at in range(head, len(all_lines)):
        if re.match(r"\s*\[", all_lines[at]):
            break
        if re.match(rf"\s*#\s?{row.key}\s*=", all_lines[at]):  # the sample's own line, or one that was switched off
            yield "\n".join([*all_lines[:at], f"{row.key} = {value}", *all_lines[at + 1 :]])
    yield "\n".join([*all_lines[:head], f"{row.key} = {value}", *all_lines[head:]])


def _replaced(all_lines: list[str], at: int, value: str) -> Iterator[str]:
    """With another value behind the key of this line; a list may go on below it."""
    before = re.match(r"[^=]*=\s*", all_lines[at]) if at >= 0 else None
    if before is None:
        return
    comment = re.search(r"\s+#[^\"']*$", all_lines[at])
    for kept in dict.fromkeys((comment[0] if comment else "", "")):
        for end in range(at + 1, min(len(all_lines), at + _MANY_LINES) + 1):
            yield "\n".join([*all_lines[:at], before[0] + value + kept, *all_lines[end:]])
