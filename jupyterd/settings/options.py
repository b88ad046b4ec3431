"""The command-line options of every setting that is not a secret, derived from the schema."""

from __future__ import annotations

import argparse
from pathlib import Path

from jupyterd.settings import legacy
from jupyterd.settings.table import SECTIONS, SETTINGS, Setting
from jupyterd.settings.values import toml

# What people's fingers know from Jupyter, beside the option's own name; not shown in --help.
_ALIASES = {"tls.certificate": "--certfile", "tls.key": "--keyfile", "server.root_dir": "--notebook-dir"}
_METAVARS = {"int": "NUMBER", "float": "NUMBER", "list": "LIST"}
_UNITS = {"s": "SECONDS", "GiB": "GIB", "bytes": "BYTES"}
HELP_ALL = "--help-all"
_COMMON = (
    "server.ip", "server.port", "server.root_dir", "server.names", "server.lab", "tls.certificate", "tls.key",
    "server.allow_root",
)  # fmt: skip
"""What --help shows, in one line each; --help-all shows every setting."""


def add(parser: argparse.ArgumentParser, *, everything: bool = True) -> None:
    """Add -c FILE and an option for each setting, by section. An option that is not given sets no attribute. Without
    `everything` the help shows the common ones, and fits a screen.
    """
    parser.usage = f"{parser.prog} [-c FILE] [--SETTING VALUE ...]"
    parser.add_argument("-c", "--config", metavar="FILE", type=Path, help="read this settings file and no other")
    parser.add_argument(HELP_ALL, action="help", help="show an option for every setting")
    common = None if everything else parser.add_argument_group("common settings")
    for section in SECTIONS:
        group = common or parser.add_argument_group(section.name, section.doc.replace("%", "%%"))
        for row in section.settings:
            if not row.secret:
                _add(group, row, everything=everything)
    _add_old(parser)


def overrides(args: argparse.Namespace) -> dict[str, str | bool]:
    """The options that were given, by dotted name, for settings.load.sources."""
    given = {name: value for name, value in vars(args).items() if "." in name}
    return {name: ",".join(value) if isinstance(value, list) else value for name, value in given.items()}


def _add(group: argparse._ArgumentGroup, row: Setting, *, everything: bool) -> None:
    text = f"{row.doc} Default: {toml(row.default)}".replace("%", "%%")
    if not everything:
        text = row.doc.partition(".")[0] if row.name in _COMMON else argparse.SUPPRESS
    if row.kind == "bool":
        group.add_argument(
            row.flag, dest=row.name, action=argparse.BooleanOptionalAction, default=argparse.SUPPRESS, help=text
        )
        return
    metavar = "{" + ",".join(row.choices) + "}" if row.choices else _UNITS.get(row.unit, "")
    metavar = metavar or _METAVARS.get(row.kind, "PATH" if row.path else "TEXT")
    # A list may be given as one text with commas, as several options, or both. The loader judges the texts:
    # so a wrong one is told together with every other problem.
    action = "append" if row.kind == "list" else "store"
    group.add_argument(
        row.flag, dest=row.name, action=action, metavar=metavar, default=argparse.SUPPRESS, help=text
    )  # fmt: skip


def _add_old(parser: argparse.ArgumentParser) -> None:
    """Add hidden options: Jupyter's own names and secrets, which the loader refuses with advice what to type."""
    for name, alias in _ALIASES.items():
        parser.add_argument(alias, dest=name, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    parser.add_argument("--no-browser", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    secrets = {row.flag.removeprefix("--"): row.name for row in SETTINGS.values() if row.secret}
    old = {name: name for name in legacy.old_options()} | secrets | {"password": "login.password_hash"}
    for option, dest in old.items():
        parser.add_argument(
            f"--{option}", dest=dest, nargs="?", const="", default=argparse.SUPPRESS, help=argparse.SUPPRESS
        )  # fmt: skip
