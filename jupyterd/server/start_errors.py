"""Why the server could not start, in one sentence for the person who reads the journal."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path

from traitlets import TraitError


class StartFailed(Exception):  # noqa: N818 - it is what happened
    """The server cannot start; the text says why, for the journal."""


def sentence(error: BaseException, config_dirs: Iterable[str]) -> str:
    """Names the file and line when the cause is in one of the configuration directories."""
    if isinstance(error, StartFailed):
        return str(error)
    what = str(error) or type(error).__name__
    directories = [Path(each) for each in config_dirs]
    if isinstance(error, TraitError):
        return f"a Jupyter setting{''.join(f' in {each}' for each in directories)} is wrong: {what}"
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: {error.msg}: Jupyter cannot read this configuration"
    if isinstance(error, json.JSONDecodeError):
        for broken in _unreadable(directories):
            return f"{broken}:{error.lineno}: {error.msg}: Jupyter cannot read this configuration"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if any(Path(frame.filename).is_relative_to(each) for each in directories):
            return f"{frame.filename}:{frame.lineno}: {type(error).__name__}: {what}"
    return f"{type(error).__name__}: {what}"


def config_dirs(environ: Mapping[str, str]) -> list[str]:
    """The directory whose configuration counts: the user's own, if the settings name one."""
    named = environ.get("JUPYTER_CONFIG_PATH")
    return [named] if named else []


def _unreadable(directories: Iterable[Path]) -> Iterable[Path]:
    for directory in directories:
        for path in sorted(directory.glob("jupyter*.json")):
            try:
                json.loads(path.read_bytes())
            except ValueError:
                yield path
