"""The user's own service: a unit of the user manager, which stays after logout if the machine allows it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from jupyterd.cli.setup import services, systemctl
from jupyterd.cli.setup import unit_files as files
from jupyterd.linux.accounts import Account


def piece(mine: Account) -> files.Put | None:
    """The unit file; None where the machine's own one names this program already."""
    if services.is_program_of_roots() and (files.USER_UNIT_DIR / files.UNIT).exists():
        return None
    text = Path(sys.prefix, "share", "jupyterd", "systemd", "user", files.UNIT).read_text()
    program = files.quoted(str(Path(sys.prefix, "bin", "jupyterd"))).replace("$", "$$")
    base = os.environ.get("XDG_CONFIG_HOME", "")
    directory = Path(base if base.startswith("/") else f"{mine.home}/.config")
    return files.Put(directory / "systemd" / "user" / files.UNIT, text.replace(str(files.COMMAND), program))


def manager(mine: Account) -> str | None:
    """Makes it stay after logout; a sentence when it will not. OSError, with what to type, when there is none."""
    runtime = os.environ.setdefault("XDG_RUNTIME_DIR", f"/run/user/{mine.uid}")
    fault = "" if Path("/var/lib/systemd/linger", mine.name).exists() else _linger(mine)
    if not Path(runtime, "systemd").is_dir():
        raise OSError(
            f"{mine.name} has no systemd of their own here (a login by ssh or at the console starts it, su does not).\n"
            f"    sudo loginctl enable-linger {mine.name}     and then this again"
        )
    return f"it ends when you log out ({fault}); for good: sudo loginctl enable-linger {mine.name}" if fault else None


def _linger(mine: Account) -> str:
    """Asks for it; why not, if not. With the name: without one logind asks for a session, which cron has not."""
    argv = ["loginctl", "enable-linger", mine.name]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    return (done.stderr.strip() or f"loginctl: exit {done.returncode}") if done.returncode else ""


def put_in_place(wanted: files.Put | None) -> bool:
    """True when it was new."""
    changed = wanted is not None and not wanted.is_so
    if wanted is not None and changed:
        files.put(wanted.path, wanted.text, uid=-1, gid=-1)
    if changed:
        systemctl.run("systemctl", "--user", "daemon-reload")
    return changed
