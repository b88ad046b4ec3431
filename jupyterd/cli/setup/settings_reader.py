"""Reads the settings for setup: root reads what nobody else can change, and has the account read them otherwise."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jupyterd.cli import as_account
from jupyterd.linux import accounts
from jupyterd.settings import load, table
from jupyterd.settings.load import Loaded, Sources
from jupyterd.settings.problems import Invalid, Origin, Problem
from jupyterd.settings.table import Value
from jupyterd.settings.values import Fault, from_toml


@dataclass(frozen=True, slots=True)
class _Row:
    """A setting as JSON, and the place that it came from."""

    name: str
    value: str
    place: str
    line: int | None


@dataclass(frozen=True, slots=True)
class _Loaded:
    """Every setting, or sentences about what is wrong with them."""

    rows: tuple[_Row, ...]
    problems: tuple[str, ...]


def read(given: Sources) -> Loaded:
    """The settings of the account of `given`. Raises Invalid; OSError when the account does not answer."""
    if os.geteuid() != 0 or not any(map(accounts.master_of, _every_file(given))):
        return load.load(given)
    return _checked(as_account.ask(given.account, lambda: _sent(given), _Loaded))


def _every_file(given: Sources) -> Iterator[Path]:
    """Every file that these settings are read from."""
    for place in given.places:
        yield place.path
        if place.directory and accounts.master_of(place.path) is None and place.path.is_dir():
            yield from place.path.iterdir()


def _sent(given: Sources) -> _Loaded:
    try:
        loaded = load.load(given)
    except Invalid as error:
        return _Loaded((), tuple(map(str, error.problems)))
    rows = []
    for name, row in table.SETTINGS.items():
        origin = loaded.origins[name]
        rows.append(_Row(name, json.dumps(table.value_of(loaded.settings, row)), origin.place, origin.line))
    return _Loaded(tuple(rows), ())


def _checked(sent: _Loaded) -> Loaded:
    """Raises Invalid, also for a value that no setting has."""
    problems = []
    for sentence in sent.problems:
        place, _, found = sentence.partition(": ")
        problems.append(Problem(Origin(place), found))
    values: dict[str, Value] = {}
    for each in sent.rows:
        origin = Origin(each.place, each.line)
        row = table.SETTINGS.get(each.name)
        value = Fault("is no setting") if row is None else from_toml(row, json.loads(each.value))
        if isinstance(value, Fault | list):
            problems.append(Problem(origin, f"{each.name} has an invalid value"))
        else:
            values[each.name] = value
    if problems or values.keys() != table.SETTINGS.keys():
        raise Invalid(tuple(problems) or (Problem(Origin("the account"), "did not return every setting"),))
    return Loaded(table.build(values), {each.name: Origin(each.place, each.line) for each in sent.rows})
