"""Parses TOML text, the environment and the command line into assignments, and reports whatever is none.

Judges names only; values.py judges values.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import attrs

from jupyterd.settings import legacy, lines
from jupyterd.settings.problems import Origin, Problem, bare, described, dotted, nearest
from jupyterd.settings.table import SECTION_NAMES, SECTIONS, SETTINGS, Setting

_KEYS = {row.key: row for row in reversed(SETTINGS.values())}  # of two with one key the first section's
_VARIABLES = {row.variable: row for row in SETTINGS.values()}
_AT = re.compile(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", re.DOTALL)


@attrs.frozen
class Assigned:
    """A known setting and the raw value that is assigned to it. `typed`: `raw` is text from the environment or the
    command line, without TOML's quotes, and relative paths count from the current directory.
    """

    row: Setting
    raw: object
    origin: Origin
    typed: bool = False
    item_lines: tuple[int, ...] = ()


def in_toml(path: Path, text: str) -> list[Assigned | Problem]:
    """Every assignment in the file's text, or the problem with it; one Problem for text that is not TOML."""
    place = str(path)
    foreign = legacy.jupyter_file(path.name, text)
    try:
        document = tomllib.loads(text)
    except RecursionError:
        found = "is nested too deeply"
        return [Problem(Origin(place), found, "settings are sections with keys in them", hides=True)]
    except ValueError as error:  # TOMLDecodeError, and int() of thousands of digits
        if foreign is not None:
            return [Problem(Origin(place), "is not a settings file of jupyterd", advice=foreign, hides=True)]
        return [_syntax(place, text, error)]
    reader = _TableReader(place, lines.line_numbers(text))
    return [each for name, value in document.items() for each in reader.top(name, value)]


@attrs.frozen
class _TableReader:
    place: str
    lines: dict[lines.Path, int]

    def top(self, name: str, value: object) -> list[Assigned | Problem]:
        if name in SECTION_NAMES:
            return self._section(name, value)
        if isinstance(value, dict) and legacy.is_old_class((name,)):
            return [self._unknown(path) for path in _leaves((name,), value)]
        if name in _KEYS and not isinstance(value, dict):
            row = _KEYS[name]
            found = f"{name} is outside its section"
            return [Problem(self._at((name,)), found, advice=f"move it below a line [{row.section}]")]
        return [self._unknown((name,), table=isinstance(value, dict | list))]

    def _section(self, name: str, value: object) -> list[Assigned | Problem]:
        if isinstance(value, list) and all(isinstance(each, dict) for each in value):
            found = f"[[{name}]] is a list of tables"
            return [Problem(self._at(tuple(name.split("."))), found, advice=f"write [{name}], once")]
        if not isinstance(value, dict):
            found = f"{name} is {described(value)}"
            known = f"known in it: {_known(name)}"
            return [Problem(self._at(tuple(name.split("."))), found, f"[{name}] is a section", known)]
        result: list[Assigned | Problem] = []
        for key, raw in value.items():
            path = (*name.split("."), key)
            if f"{name}.{key}" in SECTION_NAMES:
                result += self._section(f"{name}.{key}", raw)
                continue
            row = SETTINGS.get(f"{name}.{key}")
            if row is None:
                result.append(self._unknown(path))
                continue
            count = len(raw) if isinstance(raw, list) else 0
            at = tuple(lines.line_of(self.lines, (*path, index)) or 1 for index in range(count))
            result.append(Assigned(row, raw, self._at(path), item_lines=at))
        return result

    def _unknown(self, path: tuple[str, ...], *, table: bool = False) -> Problem:
        shown = f"[{dotted(path)}]" if table else dotted(path)
        kind = "section" if table else "setting"
        return Problem(self._at(path), f"{shown} is not a {kind}", advice=advice_for(path, table=table))

    def _at(self, path: tuple[str, ...]) -> Origin:
        return Origin(self.place, lines.line_of(self.lines, path))


def advice_for(path: tuple[str, ...], *, table: bool = False) -> str:  # noqa: PLR0911 - one for each guess, best first
    """What an unknown name may mean: an old Jupyter name, a setting of another section, a typing error."""
    inside, key = ".".join(path[:-1]), path[-1]
    section = inside if inside in SECTION_NAMES else path[0] if len(path) > 1 else ""
    if table and len(path) == 1:
        close = nearest(key, SECTION_NAMES)
        known = "known are " + ", ".join(f"[{each}]" for each in SECTION_NAMES)
        return f"did you mean [{close}]?" if close else legacy.explained(path) or known
    if section in SECTION_NAMES and key in _KEYS and section == inside:
        return f"it is {_KEYS[key].name}"
    old = legacy.explained(path) or (legacy.explained((key,)) if section in SECTION_NAMES else None)
    if old is not None:
        return old
    here = {row.key: row.name for row in SETTINGS.values() if row.section == section}
    close = nearest(key, here)
    if close is not None:
        return f"did you mean {here[close]}?"
    close = nearest(dotted(path), SETTINGS, 0.75) or nearest(key, _KEYS, 0.75)
    if close is not None:
        return f"did you mean {close if close in SETTINGS else _KEYS[close].name}?"
    if section in SECTION_NAMES:
        return f"known in [{section}]: {_known(section)}"
    return "all settings: jupyterd config sample"


def in_environment(environ: Mapping[str, str]) -> list[Assigned | Problem]:
    """JUPYTERD_SERVER_PORT and the like. Other JUPYTERD_ variables are not settings, unless they look like one."""
    result: list[Assigned | Problem] = []
    for name, value in environ.items():
        origin = Origin(f"environment {name}")
        row = _VARIABLES.get(name)
        if row is not None:
            result.append(Assigned(row, value, origin, typed=True))
        elif (meant := _variable_meant(name, value)) is not None:
            result.append(Problem(origin, "is not a setting", advice=meant))
    return result


def on_command_line(overrides: Mapping[str, str | bool]) -> list[Assigned | Problem]:
    """The assignments in what options.overrides returned; an old option has its old name ("NotebookApp.port")."""
    result: list[Assigned | Problem] = []
    for name, value in overrides.items():
        new = name if name in SETTINGS else legacy.new_name(*name.rsplit(".", 1))
        row = None if new is None else SETTINGS[new]
        if row is not None and row.name == name and not row.secret:
            flag = row.flag.replace("--", "--no-", 1) if value is False else row.flag
            result.append(Assigned(row, value, Origin(flag), typed=True))
        elif row is None:
            advice = advice_for(tuple(name.split(".")))
            result.append(Problem(Origin(f"--{name}"), "is not an option of jupyterd", advice=advice))
        elif row.secret:
            shown = row.flag if row.name == name else f"--{name}"
            found = "a secret must not be typed where `ps` shows it"
            result.append(Problem(Origin(shown), found, advice=f"set {row.name} in a file"))
        else:
            result.append(Problem(Origin(f"--{name}"), "is not an option of jupyterd", advice=f"type {row.flag}"))
    return result


def _variable_meant(name: str, value: str) -> str | None:
    rest = name.removeprefix("JUPYTERD_").lower()
    section, _, key = rest.partition("_")
    if section in SECTION_NAMES:
        close = nearest(key, [row.key for row in SETTINGS.values() if row.section == section])
        if close is not None:
            return f"did you mean {SETTINGS[f'{section}.{close}'].variable}?"
        return f"known in [{section}]: {_known(section)}"
    if "://" in value:  # Kubernetes sets JUPYTERD_PORT=tcp://... in every pod beside a service called jupyterd
        return None
    if rest in _KEYS:
        return f"did you mean {_KEYS[rest].variable}?"
    close = nearest(section, SECTION_NAMES, 0.7)
    if close is not None and f"{close}.{key}" in SETTINGS:
        return f"did you mean {SETTINGS[f'{close}.{key}'].variable}?"
    return None


def _leaves(path: tuple[str, ...], value: dict[str, object]) -> list[tuple[str, ...]]:
    """The keys below an old table, each with its whole path; an empty table is its own leaf."""
    if not value:
        return [path]
    found: list[tuple[str, ...]] = []
    for key, inner in value.items():
        deeper = (*path, key)
        found += _leaves(deeper, inner) if isinstance(inner, dict) and legacy.is_old_class(deeper) else [deeper]
    return found


def _known(section: str) -> str:
    return next(", ".join(row.key for row in each.settings) for each in SECTIONS if each.name == section)


def _syntax(place: str, text: str, error: ValueError) -> Problem:
    """The message of tomllib with its line number. The line is not shown, as it may hold a secret."""
    match = _AT.fullmatch(str(error))
    all_lines = text.split("\n")
    number = int(match[2]) if match and match[2] else len(all_lines) - (all_lines[-1] == "")
    number = max(1, min(number, len(all_lines)))
    what = match[1] if match else "a number has too many digits"
    slip = _slip(all_lines[number - 1])
    if what.startswith("Cannot overwrite"):
        what = "the key is set a second time"
    elif match and not match[2]:
        what = "it ends in the middle of a value or a list"  # where that began is not known
    found = "is not TOML" if slip else f"is not TOML ({_safe(what)})"
    return Problem(Origin(place, number), found, advice=slip, hides=True)


def _safe(message: str) -> str:
    """The messages of tomllib quote keys and single characters, never values; keep it so if a later one does not."""
    return re.sub(r"(['\"]).{3,}\1", "...", message[:1].lower() + message[1:], flags=re.DOTALL)[:120]


def _slip(line: str) -> str:  # noqa: PLR0911 - one for each slip
    """Advice for a line in the syntax of another format (YAML, INI, Python); "" for none. Never repeats the value."""
    match = re.match(r"\s*([A-Za-z0-9_.\-]+)\s*([:=])?\s*(.*)", line)
    if match is None:
        return (
            ""
            if line.strip()[:1] in {"", "[", "]", '"', "'", "{", "}", "#"}
            else "a line is a [section], or key = value"
        )
    key, sign, value = bare(match[1]) if "." not in match[1] else match[1][:60], match[2], match[3]
    if sign == ":" or (sign is None and value):
        return f"write {key} = ..., with an equals sign"
    if value.startswith(("True", "False", "yes", "no", "on", "off", "None")):
        return f"{key} = : true and false are written in small letters and without quotes"
    if sign == "=" and value == "":
        return f"{key} has no value"
    if sign == "=" and value[0] not in "\"'[{0123456789+-tfin#":
        return f'put text in double quotes: {key} = "..."'
    if sign == "=" and re.match(r"[0-9]+[.:][0-9a-f.:]+\s*(#.*)?$", value):
        return f'put text in double quotes: {key} = "..."'
    return ""
