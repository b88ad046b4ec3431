"""The layers: defaults, /usr/lib, /etc or ~/.config, drop-ins, credentials, environment, command line -> Settings.

Every problem of every layer is reported at once, also in values that a later layer replaces. Looks at nothing of the
machine but the files it reads (planner/checks.py does the rest).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import attrs

from jupyterd.linux.accounts import Account, account
from jupyterd.settings import assignments, files, rules, table
from jupyterd.settings.assignments import Assigned
from jupyterd.settings.paths import Mode
from jupyterd.settings.problems import DEFAULT, Invalid, KnownSettings, Origin, Problem
from jupyterd.settings.schema import Settings
from jupyterd.settings.table import Setting, Value
from jupyterd.settings.values import Fault, from_text, from_toml

FILE = "jupyterd.toml"
CREDENTIALS = {"jupyterd.password_hash": "login.password_hash", "jupyterd.token": "login.token"}


@attrs.frozen
class FileSource:
    """A settings file, or a directory of them (*.toml, in the order of their names)."""

    path: Path
    directory: bool = False
    must_exist: bool = False


@attrs.frozen
class Sources:
    """Where settings may come from; later layers win: places, credentials, environment, overrides."""

    places: tuple[FileSource, ...]
    credentials: Path | None
    environ: Mapping[str, str]
    overrides: Mapping[str, str | bool]
    """From the command line, by dotted name: each text as it was typed."""
    account: Account
    cwd: Path


@attrs.frozen
class Loaded:
    """The settings, and for each dotted name where its value came from (every name is there)."""

    settings: Settings
    origins: Mapping[str, Origin]


def sources(
    paths_mode: Mode,
    explicit_file: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, str | bool],
    mine: Account | None = None,
) -> Sources:
    """The places of this mode. `explicit_file` (-c), else $JUPYTERD_CONFIG, stands for all of the files."""
    mine = mine or account(os.geteuid(), environ, service=paths_mode == "service")
    explicit = explicit_file or (Path(environ["JUPYTERD_CONFIG"]) if environ.get("JUPYTERD_CONFIG") else None)
    credentials = environ.get("CREDENTIALS_DIRECTORY", "")
    return Sources(
        places=(FileSource(explicit, must_exist=True),) if explicit else _places(paths_mode, environ, mine),
        credentials=Path(credentials) if credentials.startswith("/") else None,
        environ={name: value for name, value in environ.items() if name.startswith("JUPYTERD_")},
        overrides=overrides,
        account=mine,
        cwd=Path.cwd(),
    )


def configuration_directory(mode: Mode, environ: Mapping[str, str], mine: Account) -> Path:
    """Where a person puts jupyterd.toml: /etc/jupyterd, or ~/.config/jupyterd outside the system's service."""
    if mode == "service":
        return Path("/etc/jupyterd")
    base = environ.get("XDG_CONFIG_HOME", "")
    return Path(base if base.startswith("/") else f"{mine.home}/.config") / "jupyterd"


def _places(mode: Mode, environ: Mapping[str, str], mine: Account) -> tuple[FileSource, ...]:
    own = configuration_directory(mode, environ, mine)
    # A checkout's ./run listens on localhost whatever somebody has installed on the machine.
    bases = (own,) if mode == "foreground" else (Path("/usr/lib/jupyterd"), own)
    return tuple(
        place for base in bases for place in (FileSource(base / FILE), FileSource(base / f"{FILE}.d", directory=True))
    )


@attrs.frozen
class _Accepted:
    """One layer sets this value."""

    name: str
    value: Value
    origin: Origin


@attrs.frozen
class _RefusedSetting:
    """One layer sets something that cannot be used."""

    name: str
    problems: tuple[Problem, ...]


def load(given: Sources) -> Loaded:
    """The settings, and where each came from. Invalid with every problem of every layer.

    Each layer is read and parsed into assignments, each assignment is judged by itself, and the accepted values are
    merged: a later layer wins.
    """
    judged = [found if isinstance(found, Problem) else _judged(found, given) for found in _parsed(given)]
    return _merged(judged, given.account.home)


def _parsed(given: Sources) -> list[Assigned | Problem]:
    """Every assignment of every layer, in the order of the layers."""
    found: list[Assigned | Problem] = []
    for place in given.places:
        paths = files.listed(place.path, given.account) if place.directory else (place.path,)
        if isinstance(paths, Problem):
            found.append(attrs.evolve(paths, hides=True))
            continue
        for path in paths:
            found += _from_file(path, given.account, must_exist=place.must_exist or place.directory)
    found += _from_credentials(given)
    found += assignments.in_environment(given.environ)
    found += assignments.on_command_line(given.overrides)
    return found


def _judged(found: Assigned, given: Sources) -> _Accepted | _RefusedSetting:
    row, raw = found.row, found.raw
    value = from_text(row, raw) if found.typed and isinstance(raw, str) else from_toml(row, raw)
    if not isinstance(value, Fault | list):
        value = rules.normalise(row, value, rules.Context(given.account.home, given.cwd if found.typed else None))
    if isinstance(value, Fault | list):
        faults = value if isinstance(value, list) else [value]
        return _RefusedSetting(row.name, tuple(_problem(found, each) for each in faults))
    return _Accepted(row.name, value, found.origin)


def _merged(judged: list[_Accepted | _RefusedSetting | Problem], home: str) -> Loaded:
    values = {name: _default(row, home) for name, row in table.SETTINGS.items()}
    origins: dict[str, Origin] = dict.fromkeys(table.SETTINGS, DEFAULT)
    problems: list[Problem] = []
    doubtful: set[str] = set()
    for each in judged:
        match each:
            case Problem():
                problems.append(each)
            case _RefusedSetting(name, found):
                problems += found
                doubtful.add(name)
            case _Accepted(name, value, origin):
                values[name], origins[name] = value, origin
    problems += rules.cross_check(values, origins, doubtful)
    settings = table.build(values)
    if problems:
        known = KnownSettings(settings, origins, frozenset(doubtful))
        raise Invalid(tuple(dict.fromkeys(problems)), None if any(each.hides for each in problems) else known)
    return Loaded(settings, origins)


def _default(row: Setting, home: str) -> Value:
    """The default as it is used: "~" has become the home directory."""
    value = rules.normalise(row, row.default, rules.Context(home, None))
    return row.default if isinstance(value, Fault | list) else value


def _from_file(path: Path, mine: Account, *, must_exist: bool) -> list[Assigned | Problem]:
    text = files.read(path, mine, must_exist=must_exist)
    if text is None:
        return []
    if isinstance(text, Problem):
        return [attrs.evolve(text, hides=True)]
    found = assignments.in_toml(path, text.text)
    return [*found, *_exposed(path, text.facts, mine, found)]


def _exposed(path: Path, facts: os.stat_result, mine: Account, found: list[Assigned | Problem]) -> list[Problem]:
    """Secrets that others can read, and settings that others can write: those could name a program of theirs."""
    origin = Origin(str(path))
    if facts.st_mode & 0o002:
        return [Problem(origin, "can be changed by everybody on this machine", advice=files.closing(path, facts, mine))]
    seen = files.exposure(path, facts, mine)
    if seen is None:
        return []
    who, advice = seen
    return [
        Problem(each.origin, f"{each.row.name} can be read by {who}", advice=advice)
        for each in found
        if isinstance(each, Assigned) and each.row.secret and each.raw != ""
    ]


def _from_credentials(given: Sources) -> list[Assigned | Problem]:
    """systemd.exec(5), LoadCredential=: files that only the service can read."""
    found: list[Assigned | Problem] = []
    for credential, name in CREDENTIALS.items() if given.credentials else ():
        assert given.credentials is not None  # noqa: S101 - for the type checker: the loop is empty otherwise
        text = files.read(given.credentials / credential, given.account, must_exist=False)
        if isinstance(text, Problem):
            found.append(text)
        elif text is not None:
            found.append(
                Assigned(table.SETTINGS[name], text.text.strip(), Origin(f"credential {credential}"), typed=True)
            )
    return found


def _problem(found: Assigned, fault: Fault) -> Problem:
    origin = found.origin
    if fault.item is not None and fault.item < len(found.item_lines):
        origin = attrs.evolve(origin, line=found.item_lines[fault.item])
    return Problem(origin, fault.found, fault.wanted, fault.advice)
