"""What systemd says of jupyterd.service, the machine's and the user's own: the truth where no snapshot tells it."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Literal

import attrs

from jupyterd.linux import systemd
from jupyterd.text import cleaned

NAME = "jupyterd.service"
_ANSWER_S = 3.0
_NAMES = "LoadState,ActiveState,SubState,Result,ExecMainCode,ExecMainStatus,MainPID,StatusText"
_RUNS = frozenset({"active", "activating", "reloading", "deactivating"})
_CLD_EXITED = "1"
WHY = {78: "(the settings are refused)", 75: "(another jupyterd serves from the same state directory)"}
"""Exit codes of `jupyterd run`."""


@attrs.frozen
class UnitState:
    """`main_pid` 0: no process. `ended`: how the last one ended, "" when it is not known or ended well."""

    which: Literal["service", "user"]
    active: str
    sub: str
    result: str
    ended: str
    main_pid: int
    status: str

    @property
    def runs(self) -> bool:
        """Whether a supervisor, or a start that may become one, exists."""
        return self.active in _RUNS and self.main_pid > 0

    @property
    def trouble(self) -> str:
        """One sentence without its end when it has failed or is between two attempts, else ""."""
        name = "jupyterd.service" if self.which == "service" else "the user service jupyterd.service"
        ended = f": {self.ended}" if self.ended else ""
        if self.active == "failed":
            return f"{name} has failed{ended or f' ({self.result})'}"
        if self.sub == "auto-restart":
            return f"{name} has ended and is started again in a moment{ended}"
        return ""


def ask(which: Literal["service", "user"]) -> UnitState | None:
    """None when there is no such unit, or nobody to ask."""
    scope = ["--user"] if which == "user" else []
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "XDG_RUNTIME_DIR": f"/run/user/{os.getuid()}"}
    try:
        done = subprocess.run(
            ["systemctl", *scope, "show", f"--property={_NAMES}", "--", NAME],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_ANSWER_S, check=False, env=env,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return state(which, done.stdout)


def state(which: Literal["service", "user"], shown: str) -> UnitState | None:
    """From what `systemctl show` printed; None when the unit is not loaded."""
    found = {name: str(cleaned(value)) for name, value in systemd.properties(shown).items()}
    if found.get("LoadState") != "loaded":
        return None
    pid = found.get("MainPID", "0")
    return UnitState(
        which, found.get("ActiveState", ""), found.get("SubState", ""), found.get("Result", ""), _ended(found),
        int(pid) if pid.isdecimal() else 0, found.get("StatusText", ""),
    )  # fmt: skip


def _ended(found: dict[str, str]) -> str:
    number = found.get("ExecMainStatus", "0")
    if not number.isdecimal() or found.get("Result") == "success":
        return ""
    status = int(number)
    if found.get("ExecMainCode") != _CLD_EXITED:
        try:
            return f"ended by {signal.Signals(status).name}" if status else ""
        except ValueError:
            return f"ended by signal {status}"
    return " ".join((f"exit code {status}", WHY.get(status, ""))).strip()
