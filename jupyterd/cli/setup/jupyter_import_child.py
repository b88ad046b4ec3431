"""Evaluates one Jupyter configuration file as Jupyter would and writes what it says, as JSON, to a descriptor.

A .py there is a program of the account's: this runs as the account, for a moment, in a process of its own, and is
killed at a deadline. Started by jupyter_import.py: python -I -m jupyterd.cli.setup.jupyter_import_child FD FILE
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from traitlets.config.loader import Config, JSONFileConfigLoader, PyFileConfigLoader

_ODD = "\0odd"
"""The one key of a JSON object that stands for a value that JSON does not know."""


def read(file: Path) -> dict[str, Any]:
    """Class -> key -> value, or {"error": why} without what the file says: it may hold a secret."""
    loader = JSONFileConfigLoader if file.suffix == ".json" else PyFileConfigLoader
    try:
        found = loader(file.name, str(file.parent)).load_config()
    except BaseException as error:  # noqa: BLE001 - exit() and Ctrl-C in a configuration, too
        return {"error": f"{type(error).__name__}{_line(error, file)}"}
    return {"classes": {name: _section(each) for name, each in found.items() if isinstance(each, dict)}}


def _section(section: dict[str, Any]) -> dict[str, Any]:
    return {str(key): _plain(value) for key, value in section.items() if not isinstance(value, Config)}


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple | set) and all(isinstance(each, str) for each in value):
        return list(value)
    return {_ODD: f"a {type(value).__name__}"}


def _line(error: BaseException, file: Path) -> str:
    if isinstance(error, SyntaxError) and error.lineno:
        return f" in line {error.lineno}"
    own = [each.lineno for each in traceback.extract_tb(error.__traceback__) if Path(each.filename).name == file.name]
    return f" in line {own[-1]}" if own else ""


def odd(value: object) -> str | None:
    """The kind of a value that JSON does not know; None for one that it does."""
    return str(value[_ODD]) if isinstance(value, dict) and _ODD in value else None


def main(argv: list[str]) -> int:
    """The descriptor is not standard output: a configuration may print."""
    descriptor, file = int(argv[0]), Path(argv[1])
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as answer:
        json.dump(read(file), answer)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
