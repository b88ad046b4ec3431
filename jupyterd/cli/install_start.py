"""What ./install asks of systemd: the user manager, the start, and what it says when it does not come up.

Knows no settings and writes no file. Neighbour: install.py.
"""

from __future__ import annotations

import subprocess
import sys
import time

from jupyterd.cli.install_files import UNIT

_COMMAND_TIMEOUT_S = 60.0
_START_TIMEOUT_S = 180.0
_LOOK_EVERY_S = 0.3
_ENOUGH_RESTARTS = 3
"""A supervisor that ended so often before it served is not waited for: systemd goes on by itself."""


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
            f"{account} has no user manager, in which notebooks run: {(error.stderr or '').strip()}\n"
            "Type: apt install libpam-systemd dbus   and then ./install again"
        ) from None


def start(*, changed: bool) -> bool:
    """Enables it and waits until it serves; True then. Where nothing is new a reload is enough."""
    run("systemctl", "enable", "--quiet", UNIT)
    before = _state()
    if not changed and before["ActiveState"] == "active":
        run("systemctl", "reload", UNIT)
        return True
    run("systemctl", "reset-failed", UNIT)
    run("systemctl", "restart", "--no-block", UNIT)
    deadline = time.monotonic() + _START_TIMEOUT_S
    said = ""
    print("jupyterd: starting the service ...", file=sys.stderr)
    while time.monotonic() < deadline:
        now = _state()
        # Until systemd has begun, the state is still that of the service before.
        if now["InvocationID"] != before["InvocationID"]:
            if now["ActiveState"] == "active":
                return True
            if now["ActiveState"] == "failed" or int(now["NRestarts"]) >= _ENOUGH_RESTARTS:
                break
        if now["StatusText"] not in ("", said):
            said = now["StatusText"]
            print(f"jupyterd: {said}", file=sys.stderr)
        time.sleep(_LOOK_EVERY_S)
    else:
        print(f"jupyterd: it does not serve after {_START_TIMEOUT_S:.0f} s, and goes on trying", file=sys.stderr)
    _show_trouble()
    return False


def _state() -> dict[str, str]:
    """ActiveState, InvocationID, NRestarts and StatusText of the unit."""
    shown = run("systemctl", "show", "--property=ActiveState,InvocationID,NRestarts,StatusText", UNIT)
    return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)


def _show_trouble() -> None:
    for argv in (
        ("systemctl", "--no-pager", "--full", "--lines=0", "status", UNIT),
        (
            "journalctl",
            "--no-pager",
            "--output=cat",
            "--lines=30",
            "--identifier=jupyterd",
            "--identifier=jupyterd-server",
        ),
    ):
        sys.stderr.flush()
        subprocess.run(argv, stdout=sys.stderr, check=False, timeout=_COMMAND_TIMEOUT_S)
