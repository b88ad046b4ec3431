"""The recorder's process: `jupyterd-recorder-*.service` in the account's user manager, or a detached process.

Blocking, with deadlines.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from jupyterd.launch import user_manager, user_unit
from jupyterd.launch.user_unit import LaunchFailed
from jupyterd.linux import kept, proc
from jupyterd.linux.proc import Identity
from jupyterd.protocol import documents, spool
from jupyterd.protocol.recorder_channel import RecorderPaths

_DEADLINE_S = 10.0
_THERE = frozenset({"active", "activating", "reloading"})
"""ActiveState= of a unit that runs, or is about to again: systemd restarts it by itself."""
_END_S = 3.0
# Restart: it listens again within 0.2 s of its own death, however often, server or no server; SIGTERM and "no kernel
# left" are clean ends. CollectMode: one that has failed for good must not keep the name from the next.
_PROPERTIES = (
    "Restart=on-failure", "RestartSec=20ms", "StartLimitIntervalSec=0", "CollectMode=inactive-or-failed",
    "SyslogIdentifier=jupyterd-recorder", "StandardInput=null",
)  # fmt: skip
# The waiting shell (0.1 MB) does the same for a detached one.
_SCRIPT = '( until "$@"; do sleep 0.1; done ) &'


def argv(paths: RecorderPaths) -> list[str]:
    """The recorder's argv."""
    return [sys.executable, "-I", "-m", "jupyterd.recorder", paths.encode()]


def unit_name(directory: Path) -> str:
    """The unit's name, by spool directory: an account may run both the machine's service and a service of its own."""
    return f"jupyterd-recorder-{hashlib.sha256(os.fsencode(directory)).hexdigest()[:8]}.service"


def launch(program: Sequence[str], directory: Path, *, as_unit: bool) -> None:
    """Start the recorder unless one runs already. Raises LaunchFailed."""
    if as_unit:
        if (problem := user_manager.trouble()) is not None:
            raise LaunchFailed(f"the recorder of output: {problem}")
        unit = unit_name(directory)
        try:
            user_unit.start(
                unit, "Jupyter kernels' output, kept while nobody listens", _PROPERTIES, program, _DEADLINE_S
            )
        except LaunchFailed:
            if user_unit.show(unit).get("ActiveState") not in _THERE:
                raise
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    output = os.open(directory / spool.LOG, flags, 0o600)
    env = {proc.BOOT_ID: os.environ[proc.BOOT_ID]} if proc.BOOT_ID in os.environ else {}
    try:
        subprocess.run(
            ["/bin/sh", "-c", _SCRIPT, "jupyterd-recorder", *program],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", env=env, start_new_session=True,
            timeout=_DEADLINE_S, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise LaunchFailed(f"the recorder of output does not start: {error}") from error
    finally:
        os.close(output)


def end(directory: Path) -> bool:
    """End the recorder, with SIGTERM, then SIGKILL after 3 s. False when none ran. Call it after the last kernel."""
    try:
        process = documents.structured(documents.document(kept.read(directory / spool.LOCK)), Identity)
    except (OSError, ValueError):
        return False
    pidfd = proc.open_pidfd(process)
    if pidfd is None:
        return False
    try:
        proc.terminate(pidfd, _END_S, _END_S)
    finally:
        os.close(pidfd)
    return True
