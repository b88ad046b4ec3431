"""Writes the commented sample, etc/jupyterd.toml, from the schema: every setting, its default and what it means."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from types import MappingProxyType

from jupyterd.settings.table import SECTIONS, Section, Setting
from jupyterd.settings.values import allowed, toml

_WIDTH = 100

_HEADER = """\
# Settings of jupyterd, which keeps your Jupyter server alive.
#
# Every setting is here, commented out, with its default. To change one, take away the # before its
# name. What is not set keeps its default, also one that a later version improves.
#
# This file        /etc/jupyterd/jupyterd.toml for the service, ~/.config/jupyterd/jupyterd.toml for your own
# Read after it    jupyterd.toml.d/*.toml beside it, in the order of their names
# and then         the environment (JUPYTERD_SERVER_PORT=9999), then the command line (--port 9999)
#
# After an edit    jupyterd config check         every mistake at once, with its line
#                  sudo systemctl reload jupyterd
# What is set      jupyterd config show --origin
#
# What a changed value does at that reload is written with each setting:
#   live           it is taken over; nobody notices
#   restart        a new server starts; kernels, and what runs in them, go on
#   sockets        the same, and it listens anew
"""

_CHANGES = {"live": "live", "restart": "restart", "bind": "sockets"}


def text(chosen: Mapping[str, object] = MappingProxyType({})) -> str:
    """The whole file; `chosen` values, by dotted name, are set in it and not commented out."""
    return "\n".join([_HEADER, *(_section(section, chosen) for section in SECTIONS)])


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
        facts.append("Secret: nobody else may read the file it stands in.")
    lines = [*_comment(row.doc), *_comment(" ".join(facts))]
    if row.example is not None:
        lines.append(f"# Example: {row.key} = {toml(row.example)}")
    if row.name in chosen:
        return [*lines, f"{row.key} = {toml(chosen[row.name])}"]
    return [*lines, f"#{row.key} = {toml(row.default)}"]


def _comment(words: str) -> list[str]:
    return textwrap.wrap(words, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
