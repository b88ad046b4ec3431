"""The text of a jupyterd.toml: the commented sample (etc/jupyterd.toml) from the schema, and editing a user's file.

Editing keeps comments, order and everything else, and parses the result to make sure. tomlkit would put a new key below
the heading of the next section, and drops the comments within a list.
"""

from __future__ import annotations

import copy
import re
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from jupyterd.settings import lines
from jupyterd.settings.table import SECTIONS, SETTINGS, Section, Setting, Value
from jupyterd.settings.values import allowed, toml

_WIDTH = 100
_MANY_LINES = 200
"""The most lines that a value may have in a file."""

_HEADER = """\
# Settings of jupyterd, which keeps your Jupyter server alive.
#
# Every setting is here, commented out, with its default. To change one, remove the # before its
# name. A setting that stays commented out follows the default of the installed version.
#
# This file        /etc/jupyterd/jupyterd.toml for the service, ~/.config/jupyterd/jupyterd.toml for your own
# overridden by    jupyterd.toml.d/*.toml beside it, in the order of their names,
# then by          the environment (JUPYTERD_SERVER_PORT=9999), then by the command line (--port 9999)
#
# After editing    jupyterd config check         lists every mistake, with its line
#                  sudo systemctl reload jupyterd
# To see them all  jupyterd config show --origin
#
# "Change" says what the reload does when the value has changed:
#   live           the running server applies the new value; nothing restarts
#   restart        a new server process starts; kernels and running cells are not affected
#   sockets        the same, and the listening sockets are opened again
"""

_CHANGES = {"live": "live", "restart": "restart", "bind": "sockets"}


def text(chosen: Mapping[str, object] = MappingProxyType({})) -> str:
    """The sample file. The `chosen` values, by dotted name, are set and not commented out."""
    return "\n".join([_HEADER, *(_section(section, chosen) for section in SECTIONS)])


def edited(text: str, changes: Mapping[str, Value]) -> str:
    """`text` with these values, by dotted name. ValueError if it is not TOML, or contains the value in a form that
    jupyterd does not edit.
    """
    for name, value in changes.items():
        text = _with(text, SETTINGS[name], value)
    return text


def _section(section: Section, chosen: Mapping[str, object]) -> str:
    rule = "# " + "-" * (_WIDTH - 2)
    head = [rule, *_comment(section.doc), rule, f"[{section.name}]", ""]
    return "\n".join([*head, *("\n".join([*_setting(row, chosen), ""]) for row in section.settings)])


def _setting(row: Setting, chosen: Mapping[str, object]) -> list[str]:
    facts = [f"Change: {_CHANGES[row.change]}."]
    if row.choices or row.kind in {"int", "float"}:
        words = allowed(row)
        facts.insert(0, f"{words[0].upper()}{words[1:]}.")
    if row.secret:
        facts.append("Secret: the file must not be readable by others.")
    shown = [*_comment(row.doc), *_comment(" ".join(facts))]
    if row.example is not None:
        shown.append(f"# Example: {row.key} = {toml(row.example)}")
    if row.name in chosen:
        return [*shown, f"{row.key} = {toml(chosen[row.name])}"]
    return [*shown, f"#{row.key} = {toml(row.default)}"]


def _comment(words: str) -> list[str]:
    return textwrap.wrap(words, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


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
    raise ValueError(f"{row.name} is written in a form that jupyterd does not edit: write {toml(value)}")


def _candidates(text: str, row: Setting, value: str, *, present: bool) -> Iterator[str]:
    """Possible texts with the new value, the smallest change first."""
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
        if re.match(rf"\s*#\s?{row.key}\s*=", all_lines[at]):  # the line of the sample, or one that was commented out
            yield "\n".join([*all_lines[:at], f"{row.key} = {value}", *all_lines[at + 1 :]])
    yield "\n".join([*all_lines[:head], f"{row.key} = {value}", *all_lines[head:]])


def _replaced(all_lines: list[str], at: int, value: str) -> Iterator[str]:
    """Possible texts with another value for the key in line `at`. The old value may span several lines."""
    before = re.match(r"[^=]*=\s*", all_lines[at]) if at >= 0 else None
    if before is None:
        return
    comment = re.search(r"\s+#[^\"']*$", all_lines[at])
    for kept in dict.fromkeys((comment[0] if comment else "", "")):
        for end in range(at + 1, min(len(all_lines), at + _MANY_LINES) + 1):
            yield "\n".join([*all_lines[:at], before[0] + value + kept, *all_lines[end:]])
