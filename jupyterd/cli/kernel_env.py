"""`jupyterd kernel-env`: create or repair the default Python environment of notebooks. Idempotent.

Called by ./run and ./install beforehand, and by the server when the first notebook needs it.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from jupyterd.cli import as_account
from jupyterd.cli._common import fail
from jupyterd.launch import kernel_environment
from jupyterd.launch.kernel_environment import EnvironmentFailed
from jupyterd.settings import load, paths

HELP = "create or repair the default Python environment of notebooks"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its options: another directory than the one in the settings, and --check."""
    parser.add_argument("--environment", type=Path, help="its directory (default: the one in the settings)")
    parser.set_defaults(handed_on=as_account.FOR_PIP)
    parser.add_argument("--check", action="store_true", help="only check whether it exists (exit 0) or not (exit 1)")


def main(args: argparse.Namespace) -> int:
    """0: it exists now; 1: it cannot be made. Raises Invalid."""
    environment = args.environment or _of_the_settings()
    environment = Path(os.path.abspath(environment.expanduser()))  # noqa: PTH100 - a link of the user's stays one
    if args.check:
        return 0 if kernel_environment.is_ready(environment) else 1
    try:
        kernel_environment.ensure(environment, _say)
    except EnvironmentFailed as error:
        return fail(str(error))
    return 0


def _of_the_settings() -> Path:
    """The directory of kernels.environment, or the default one in the state directory."""
    here = paths.discover(os.environ, os.getuid())
    settings = load.load(load.sources(here.mode, None, os.environ, {})).settings
    return Path(settings.kernels.environment) if settings.kernels.environment else here.kernel_environment


def _say(line: str) -> None:
    print(line, flush=True)
