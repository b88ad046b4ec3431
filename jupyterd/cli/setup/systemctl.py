"""What setup needs from systemd: the user manager, the start of the service, and its messages if the start fails.

Knows no settings and writes no file.
"""

from __future__ import annotations

import subprocess
import sys
import time

from jupyterd.cli._common import say
from jupyterd.cli.setup.unit_files import UNIT
from jupyterd.linux import systemd
from jupyterd.text import for_terminal

_COMMAND_TIMEOUT_S = 60.0
_START_TIMEOUT_S = 180.0
_LOOK_EVERY_S = 0.3
_WAITING_S = 20.0
"""How long setup waits for a service that itself waits for the machine: a port that is taken, a disk that is late."""
_SYSTEM, _USER = ("systemctl",), ("systemctl", "--user")
_ENOUGH_RESTARTS = 3
"""Setup stops waiting for a supervisor that ended this often before it served; systemd continues to restart it."""


def run(*argv: str) -> str:
    """Standard output of a command that must succeed; CalledProcessError with its standard error otherwise."""
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=_COMMAND_TIMEOUT_S)
    return done.stdout


def user_manager(account: str, uid: int) -> None:
    """Kernels live in the account's user manager: it must start at boot and stay after logout."""
    try:
        run("loginctl", "enable-linger", account)
        run("systemctl", "start", f"user@{uid}.service")
    except subprocess.CalledProcessError as error:
        raise OSError(
            f"{account} has no systemd user manager, which notebooks need: {(error.stderr or '').strip()}\n"
            "Type: apt install libpam-systemd dbus   then run ./install again"
        ) from None


def runs(*, user: bool) -> bool:
    """Whether the service is enabled and active."""
    shown = run(*_manager(user=user), "show", "--property=ActiveState,UnitFileState", UNIT).split()
    return {"ActiveState=active", "UnitFileState=enabled"}.issubset(shown)


def is_active(*, user: bool) -> bool:
    """Whether the service runs, and serves. False also where there is no manager to ask."""
    argv = [*_manager(user=user), "is-active", "--quiet", UNIT]
    return subprocess.run(argv, check=False, capture_output=True, timeout=_COMMAND_TIMEOUT_S).returncode == 0


def start(*, changed: bool, user: bool = False) -> bool:
    """Enable and start the service, and wait until it serves; False if it does not or waits for the machine. If nothing
    `changed`, only reload a running one.
    """
    manager = _manager(user=user)
    run(*manager, "enable", "--quiet", UNIT)
    before = _state(manager)
    if not changed and before["ActiveState"] == "active":
        run(*manager, "reload", UNIT)
        return True
    run(*manager, "reset-failed", UNIT)
    run(*manager, "restart", "--no-block", UNIT)
    deadline = time.monotonic() + _START_TIMEOUT_S
    waits_until, said = deadline, ""
    say("starting the service ...")
    while time.monotonic() < deadline:
        now = _state(manager)
        # Until systemd has begun, the state is still that of the service before.
        if now["InvocationID"] != before["InvocationID"]:
            if now["ActiveState"] == "active":
                return True
            if now["ActiveState"] == "failed" or int(now["NRestarts"]) >= _ENOUGH_RESTARTS:
                break
        if now["StatusText"] not in ("", said):
            said = now["StatusText"]
            say(said)
        if not said.startswith("Waiting"):
            waits_until = time.monotonic() + _WAITING_S
        elif time.monotonic() > waits_until:
            return False
        time.sleep(_LOOK_EVERY_S)
    else:
        say(f"the service still does not serve after {_START_TIMEOUT_S:.0f} s; it keeps trying")
    _show_trouble(manager)
    return False


def _manager(*, user: bool) -> tuple[str, ...]:
    return _USER if user else _SYSTEM


def _state(manager: tuple[str, ...]) -> dict[str, str]:
    """ActiveState, InvocationID, NRestarts and StatusText of the unit."""
    shown = run(*manager, "show", "--property=ActiveState,InvocationID,NRestarts,StatusText", UNIT)
    return systemd.properties(shown)


def _show_trouble(manager: tuple[str, ...]) -> None:
    for argv in (
        (*manager, "--no-pager", "--full", "--lines=0", "status", UNIT),
        (
            "journalctl",
            *manager[1:],
            "--no-pager",
            "--output=cat",
            "--lines=30",
            "--identifier=jupyterd",
            "--identifier=jupyterd-server",
        ),
    ):
        done = subprocess.run(
            argv, stdout=subprocess.PIPE, text=True, errors="replace", check=False, timeout=_COMMAND_TIMEOUT_S
        )
        sys.stderr.write(for_terminal(done.stdout))  # the account writes the status line and the journal
