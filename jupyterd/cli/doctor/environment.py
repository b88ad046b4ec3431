"""The environment of kernels against that of a login: what the account's own start-up files set must be there."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from jupyterd.cli.doctor import programs
from jupyterd.cli.doctor.facts import Subject
from jupyterd.cli.doctor.verdict import Verdict

SUBJECT = "environment"
WITHIN_S = 20.0
"""A login shell that hangs is killed after 8 s, conda's scripts after 6 s (launch/shell_environment.py)."""


def examine(what: Subject) -> Iterator[Verdict]:
    """As `jupyterd env show` computes it, in a process of its own: a start-up file may print anything."""
    if what.paths.mode == "foreground":
        yield Verdict(SUBJECT, "good", "kernels have that of the terminal in which the server was started")
        return
    place = {"JUPYTERD_MODE": what.paths.mode, "JUPYTERD_STATE_DIR": str(what.paths.state)}
    if what.paths.mode == "service":
        place["JUPYTERD_RUNTIME_DIR"] = str(what.paths.runtime)
    said = programs.said(
        sys.executable, "-I", "-m", "jupyterd", "env", "show", "--json",
        within_s=WITHIN_S, codes=(0, 1), environ={**os.environ, **place},
    )  # fmt: skip
    yield from of(json.loads(said), what.settings.kernels.login_shell)


def of(told: Mapping[str, Any], chosen: str) -> Iterator[Verdict]:
    """From its document, and [kernels] login_shell. No value of a variable is told, for some are secrets."""
    for sentence in told["missing"]:
        yield Verdict(SUBJECT, "wrong", str(sentence), ("jupyterd env show",))
    if chosen == "none":
        text = 'kernels do not get what a login sets: [kernels] login_shell is "none"'
        yield Verdict(SUBJECT, "notice", text, ("jupyterd env show",))
    login = [name for name, each in told["environment"].items() if each["from"].startswith("the login shell")]
    yield Verdict(SUBJECT, "good", f"kernels have that of a login ({len(login)} variables are from its shell)")
