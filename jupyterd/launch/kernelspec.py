"""Kernelspecs on the disk: where they are, and whether one can start, as far as a look shows."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from jupyterd.launch.user_environment import user_environment

SYSTEM_DIRS = ("/usr/local/share/jupyter/kernels", "/usr/share/jupyter/kernels")
METADATA = "jupyterd"
"""Key of a kernelspec's metadata that jupyterd reads: {"environment", "prefix", "transport", "memory_max", ...}."""
PREFIX = "prefix"
"""Key in it: the directory of the environment that the kernel runs in, which is looked at before each start."""
_ANSWER_S = 2.0
_NO_MODULE = 3


def places(data_home: Path, own: Path) -> tuple[Path, ...]:
    """Directories of kernelspecs, the first of two with the same name counts: the account's XDG_DATA_HOME, and
    Paths.kernelspecs.
    """
    return data_home / "jupyter/kernels", own / "kernels", *map(Path, SYSTEM_DIRS)


def cannot_start(directory: Path) -> str:
    """Why the kernelspec in this directory cannot start, as a sentence without its end; "" if it can, as far as a look
    shows: its program is there, and if that is a Python that runs a module, it has it. Blocks for some 30 ms.
    """
    try:
        document = json.loads((directory / "kernel.json").read_text(encoding="utf-8"))
        if {"environment", PREFIX} & set(document.get("metadata", {}).get(METADATA, {})):
            return ""
        argv = [str(each) for each in document["argv"]]
        program = shutil.which(argv[0])
        if program is None:
            return f"The kernelspec in {directory} names a program that does not exist"
        if "-m" not in argv or not Path(program).name.startswith("python"):
            return ""
        at = argv.index("-m")
        given = {str(name): str(value) for name, value in document.get("env", {}).items()}
        return (
            ""
            if _has_module([program, *argv[1:at]], argv[at + 1], given)
            else (f"The kernelspec in {directory} cannot start: {program} has no module {argv[at + 1]}")
        )
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        return ""  # the stock code says what is wrong with it


def _has_module(python: list[str], module: str, env: Mapping[str, str]) -> bool:
    """Also where the interpreter gives no answer in time: then the choice is the user's."""
    code = "import importlib.util, sys; sys.exit(3 if importlib.util.find_spec(sys.argv[1]) is None else 0)"
    try:
        done = subprocess.run(
            [*python, "-c", code, module], env={**user_environment(os.environ), **env}, cwd=Path.home(),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=_ANSWER_S,
            check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return True
    return done.returncode != _NO_MODULE
