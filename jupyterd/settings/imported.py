"""Translates a Jupyter configuration: its assignments become settings; those that cannot are listed.

Pure: who reads the files (they are programs) is cli/setup/jupyter_import.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath

import attrs

from jupyterd.settings import legacy, rules
from jupyterd.settings.rules import UNSAFE, Context
from jupyterd.settings.table import SETTINGS, Setting, Value
from jupyterd.settings.values import Fault, from_toml, toml

NAMES = ("jupyter_config", "jupyter_notebook_config", "jupyter_lab_config", "jupyter_server_config")
"""In the order in which later ones count more. Of each the .json goes before the .py, as traitlets has it."""
_LEVELS = {10: "DEBUG", 20: "INFO", 30: "WARNING", 40: "ERROR", 50: "ERROR"}


@attrs.frozen
class Assignment:
    """One assignment, as in `c.NotebookApp.port = 8889`. `value` is what JSON knows, or Odd."""

    file: str
    owner: str
    key: str
    value: object


@attrs.frozen
class Odd:
    """A value that no setting holds: an object, a function, a change to a default."""

    kind: str


@attrs.frozen
class Taken:
    """`values` by dotted name, each with the place it came from; `remarks`: a sentence for each thing left out or
    said twice. None of them shows a secret.
    """

    values: Mapping[str, Value] = attrs.field(factory=dict)
    places: Mapping[str, str] = attrs.field(factory=dict)
    remarks: tuple[str, ...] = ()


def taken(said: Iterable[Assignment], home: str) -> Taken:
    """All of it, in whatever order it comes."""
    values: dict[str, Value] = {}
    places: dict[str, str] = {}
    remarks: list[str] = []
    ordered = sorted(said, key=_rank)
    has_root = any(each.key in {"root_dir", "notebook_dir"} for each in ordered)
    for each in ordered:
        place = f"{each.file}: {each.owner}.{each.key}"
        found = _judged(each, home, has_root=has_root)
        if isinstance(found, str):
            if found:
                remarks.append(f"{place} {found}")
            continue
        name, value = found
        if name in values and values[name] != value:
            row = SETTINGS[name]
            old, new = ("one", "another") if row.secret else (toml(values[name]), toml(value))
            remarks.append(f"{place} says {new}, which goes before {old} of {places[name]}")
        values[name], places[name] = value, place
    return Taken(values, places, tuple(remarks))


def _rank(said: Assignment) -> tuple[int, bool, int]:
    file = PurePath(said.file)
    known = NAMES.index(file.stem) if file.stem in NAMES else len(NAMES)
    return known, file.suffix == ".json", legacy.priority(said.owner)


def _judged(said: Assignment, home: str, *, has_root: bool) -> tuple[str, Value] | str:  # noqa: PLR0911 - one for each answer
    """(setting, value), or why it is none; "" where nothing need be said."""
    key, value = said.key, said.value
    gone = legacy.why_gone(said.owner, key)
    if gone is not None:
        return f"is left out: {gone}"
    if key in UNSAFE and value not in (False, "", None):
        return f"is left out: it leaves the server open. Wanted all the same? [server] allow_unsafe, and {legacy.HATCH}"
    name = legacy.new_name(said.owner, key)
    if name is None or key == "webapp_settings":
        return f"has no setting here; {legacy.HATCH}"
    if key == "preferred_dir" and has_root:
        return "is left out: the file browser begins at root_dir"
    if value is None:
        return ""
    if name in {"login.password_hash", "login.token"} and value == "":
        return "" if key != "token" else "is empty and left out: here a login is always required"
    row = SETTINGS[name]
    meant = _converted(row, key, value)
    judged = meant if isinstance(meant, Fault) else from_toml(row, meant)
    if not isinstance(judged, Fault | list):
        judged = rules.normalise(row, judged, Context(home, None))
    if isinstance(judged, list):
        judged = judged[0]
    if isinstance(judged, Fault):
        return "is left out: " + "; ".join(filter(None, (judged.found, judged.wanted, judged.advice)))
    return name, judged


def _converted(row: Setting, key: str, value: object) -> object:
    """The value in the form that jupyterd's setting takes; a Fault if there is none."""
    match key, value:
        case _, Odd(kind):
            return Fault(f"{row.name} would be {kind}", "only plain values are taken over")
        case "ip", "":
            return ["localhost"]
        case "custom_display_url", str():
            host = re.match(r"[a-z]+://(\[[^\]]+\]|[^/:]+)", value)
            return [host[1]] if host else Fault(f"it is no URL: {toml(value)}")
        case "local_hostnames", list():
            return [each for each in value if each != "localhost"]
        case "log_level", int() if value in _LEVELS:
            return _LEVELS[value]
        case _:
            return value
