"""The schema as one flat table: each setting with its names in the file, the environment and on the command line.

schema.py declares the settings, load.py has their values.
"""

from __future__ import annotations

from typing import Any, Literal

import attrs

from jupyterd.settings import schema

ValueKind = Literal["bool", "int", "float", "str", "list"]
Value = bool | int | float | str | tuple[str, ...]

_KINDS: dict[type, ValueKind] = {bool: "bool", int: "int", float: "float", str: "str", tuple: "list"}
# On the command line these sections are what people mean without saying so; the others are named: --gpu-log-every.
_PLAIN_SECTIONS = ("server", "login", "tls", "supervision")


@attrs.frozen
class Setting:
    """One row; the fields are those of schema.setting, and `kind` stands for the annotation."""

    section: str
    key: str
    kind: ValueKind
    default: Value
    doc: str
    change: schema.Change
    unit: str
    least: float | None
    most: float | None
    choices: tuple[str, ...]
    secret: bool
    path: bool
    pairs: bool
    example: Value | list[str] | None

    @property
    def name(self) -> str:
        """The dotted name, as in messages and Loaded.origins: "server.port"."""
        return f"{self.section}.{self.key}"

    @property
    def variable(self) -> str:
        """The environment variable: "JUPYTERD_SERVER_PORT"."""
        return f"JUPYTERD_{self.section}_{self.key}".upper().replace(".", "_")

    @property
    def flag(self) -> str:
        """The command-line option: "--port", "--gpu-log-every", "--tls"."""
        if self.key == "enabled":
            return f"--{self.section}".replace(".", "-")
        key = self.key.removesuffix("_s") if self.unit == "s" else self.key
        prefix = "" if self.section in _PLAIN_SECTIONS else f"{self.section}-"
        return f"--{prefix}{key}".replace("_", "-").replace(".", "-")


@attrs.frozen
class Section:
    """One section: its name ("gpu.cull" is one within "gpu"), its doc, its settings in the order of the sample."""

    name: str
    doc: str
    settings: tuple[Setting, ...]


def _section(name: str, owner: type) -> Section:
    rows = []
    for each in attrs.fields(owner):
        facts: dict[str, Any] = dict(each.metadata)
        rows.append(
            Setting(section=name, key=each.name, kind=_KINDS[type(each.default)], default=each.default, **facts)
        )
    return Section(name, " ".join((owner.__doc__ or "").split()), tuple(rows))


_CLASSES: dict[str, type] = {
    name.replace("_", "."): type(value) for name, value in attrs.asdict(schema.Settings(), recurse=False).items()
}
SECTIONS = tuple(_section(name, owner) for name, owner in _CLASSES.items())
SETTINGS = {row.name: row for section in SECTIONS for row in section.settings}
"""By dotted name, in the order of the sample."""
SECTION_NAMES = tuple(section.name for section in SECTIONS)


def build(values: dict[str, Value]) -> schema.Settings:
    """The frozen Settings from values by dotted name; what is absent has its default. KeyError: no such setting."""
    by_section: dict[str, dict[str, Value]] = {name: {} for name in SECTION_NAMES}
    for name, value in values.items():
        row = SETTINGS[name]
        by_section[row.section][row.key] = value
    return schema.Settings(**{name.replace(".", "_"): _CLASSES[name](**found) for name, found in by_section.items()})


def value_of(settings: schema.Settings, row: Setting) -> Value:
    """The value of this setting in `settings`."""
    value: Value = getattr(getattr(settings, row.section.replace(".", "_")), row.key)
    return value
