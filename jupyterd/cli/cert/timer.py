"""Who starts `certbot renew` twice a day: the package's own timer, one of ours, or the person's cron."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

NAME = "jupyterd-acme"
_TIMEOUT_S = 30.0
_PACKAGED = "certbot.timer"


def service(program: str, options: Sequence[str]) -> str:
    """The unit that the timer starts."""
    argv = " ".join(_word(each) for each in (program, "--quiet", *options, "renew", "--no-random-sleep-on-renew"))
    return (
        "# Written by jupyterd cert acme.\n[Unit]\nDescription=Renew the certificate of jupyterd\n\n"
        f"[Service]\nType=oneshot\nExecStart={argv}\n"
    )


def timer() -> str:
    """Twice a day, at a minute that is not everybody's; made up for after a power cut (systemd.timer(5))."""
    return (
        "# Written by jupyterd cert acme.\n[Unit]\nDescription=Renew the certificate of jupyterd, twice a day\n\n"
        "[Timer]\nOnCalendar=*-*-* 00,12:00:00\nRandomizedDelaySec=12h\nPersistent=true\n\n"
        "[Install]\nWantedBy=timers.target\n"
    )


def ensure(program: str, options: Sequence[str], *, packaged: bool) -> str:
    """See to it; gives one sentence about what was done, or what to type."""
    if not Path("/run/systemd/system").exists():
        line = shlex.join([program, "--quiet", *options, "renew"])
        return f"No systemd here. For the renewal, in crontab -e:\n    17 3,15 * * * {line}"
    root = os.geteuid() == 0
    manager = ["systemctl"] if root else ["systemctl", "--user"]
    name = _PACKAGED if packaged else f"{NAME}.timer"
    if not packaged:
        home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        units = Path("/etc/systemd/system") if root else home / "systemd" / "user"
        units.mkdir(parents=True, exist_ok=True)
        (units / f"{NAME}.service").write_text(service(program, options))
        (units / f"{NAME}.timer").write_text(timer())
    for argv in ([*manager, "daemon-reload"], [*manager, "enable", "--now", name]):
        done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=_TIMEOUT_S)
        if done.returncode:
            return f"The timer was not started: {done.stderr.strip()}\n    {shlex.join(argv)}"
    linger = "" if root else "; after your logout too with: loginctl enable-linger"
    return f"Renewed by {name}: systemctl{'' if root else ' --user'} list-timers {name}{linger}"


def _word(text: str) -> str:
    """One word of a command in a unit file (systemd.service(5))."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$") + '"'
