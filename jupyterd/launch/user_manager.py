"""The account's user manager (user@UID.service), in which kernels, terminals, recorder and sampler live: whether it
runs, whether a process ended together with it, how it ended, and what to type.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jupyterd.linux import proc, systemd
from jupyterd.linux.proc import Identity

LINGER = Path("/var/lib/systemd/linger")
"""logind's: a file for each account whose user manager runs without a login (loginctl(1), enable-linger)."""
_CREDENTIALS = struct.Struct("3i")
"""struct ucred: pid, uid, gid (unix(7), SO_PEERCRED)."""
_GREETING, _GREETING_S = b"\0AUTH EXTERNAL %s\r\n", 1.0
"""How a conversation with it begins, with the uid in hexadecimal (D-Bus specification, "Authentication Protocol")."""
_ANSWER_S = 5.0
_SETTLED_S, _LOOK_EVERY_S = 2.0, 0.1
"""How long systemd is given to note how the manager ended, and how often it is asked."""
_CLD_EXITED = "1"
_WELL = frozenset({"initializing", "starting", "running", "degraded", "maintenance"})


@dataclass(frozen=True, slots=True)
class Outage:
    """The user manager does not run: one sentence without its end, and what to type."""

    text: str
    advice: str


def runtime_dir() -> Path:
    """XDG_RUNTIME_DIR of the user manager, which the environment of a system service lacks."""
    return Path(f"/run/user/{os.getuid()}")


def account_name() -> str:
    """Name of the account that this process runs as; its uid where the password database has none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def advice() -> str:
    """What to type so that the user manager runs again, and without a login."""
    name = account_name()
    if (LINGER / name).exists():
        return f"sudo systemctl start user@{os.getuid()}.service"
    return f"sudo loginctl enable-linger {name}"


def trouble() -> str | None:
    """Why nothing can be started in the user manager, as a sentence that says what to type; None when it listens."""
    where = runtime_dir() / "systemd/private"
    try:
        _connect(where).close()
    except OSError as error:
        return (
            f"the user manager of {account_name()} is not running ({where}: {error.strerror or error}), and kernels "
            f"live in it; type: {advice()}"
        )
    return None


def process() -> Identity | None:
    """The process that listens on the manager's private socket (unix(7), SO_PEERCRED); None where none does."""
    try:
        with _connect(runtime_dir() / "systemd/private") as link:
            pid, _, _ = _CREDENTIALS.unpack(link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    except OSError:
        return None
    started = proc.started(pid)
    return None if started is None else Identity(pid, started, proc.boot_id())


def ended_with_it(ended: Identity) -> bool:
    """Whether a process of a unit, which has ended, ended because its manager did: that one is gone or on its way out,
    or the one of today is younger than the process was. Blocks for some milliseconds.
    """
    manager = process()
    return manager is None or manager.started > ended.started or _stops()


def accepts() -> bool:
    """Whether a unit can be started now: a manager runs, and is not on its way out. Blocks for some milliseconds."""
    return process() is not None and not _stops()


def outage() -> Outage:
    """How the user manager ended, as far as the system's manager says. Blocks for up to 2 s, until that is known."""
    until = time.monotonic() + _SETTLED_S
    while (shown := _show()).get("ActiveState") == "active" and process() is None and time.monotonic() < until:
        time.sleep(_LOOK_EVERY_S)  # a thread waits here
    name = account_name()
    return Outage(how(name, shown, lingers=(LINGER / name).exists()), advice())


def how(name: str, shown: Mapping[str, str], *, lingers: bool) -> str:
    """How the user manager of the account `name` ended, as a sentence without its end, from what `systemctl show`
    printed of user@UID.service ({}: nothing).
    """
    manager = f"the user manager of {name}"
    if shown.get("Result") == "oom-kill":
        return f"{manager} was killed for lack of memory"
    number = shown.get("ExecMainStatus", "")
    if shown.get("Result") in {"signal", "core-dump"} and number.isdigit() and shown.get("ExecMainCode") != _CLD_EXITED:
        try:
            return f"{manager} was killed ({signal.Signals(int(number)).name})"
        except ValueError:
            return f"{manager} was killed (signal {number})"
    if shown.get("ActiveState") == "failed":
        return f"{manager} has failed ({shown.get('Result', 'no reason is known')})"
    if shown.get("ActiveState") not in {"inactive", "deactivating"}:
        return f"{manager} has ended"
    return f"{manager} was stopped" + ("" if lingers else f" (lingering is off: it ends with the last login of {name})")


def _stops() -> bool:
    """Whether it is stopping its units (systemctl(1), is-system-running), or has ended since it was looked for."""
    return _ask("--user", "is-system-running").strip() not in _WELL


def _show() -> dict[str, str]:
    names = "ActiveState,Result,ExecMainCode,ExecMainStatus"
    return systemd.properties(_ask("show", f"--property={names}", "--", f"user@{os.getuid()}.service"))


def _ask(*words: str) -> str:
    """Standard output of systemctl; "" when it gives none in time."""
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "XDG_RUNTIME_DIR": str(runtime_dir()), "LC_ALL": "C.UTF-8"}
    try:
        return subprocess.run(
            ["systemctl", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_ANSWER_S,
            check=False, env=env,
        ).stdout  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _connect(where: Path) -> socket.socket:
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        link.settimeout(_ANSWER_S)
        link.connect(str(where))
    except OSError:
        link.close()
        raise
    # The manager writes a line for whoever hangs up before it has looked at the connection.
    with contextlib.suppress(OSError):
        link.settimeout(_GREETING_S)
        link.sendall(_GREETING % str(os.getuid()).encode().hex().encode())
        link.recv(1)
    return link
