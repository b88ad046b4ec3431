"""Kernels without a user manager: a process of its own session whose parent is a shell that only waits.

For containers and plain terminals. It outlives the server, not the container or (without linger) a strict logout.
Limits do not apply here.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from jupyterd.launch import kernel_log
from jupyterd.launch.deaths import ExitStatus
from jupyterd.launch.registry import Entry
from jupyterd.launch.user_unit import WRAPPER, LaunchFailed
from jupyterd.linux import kept

# The waiting shell is the cheapest parent (0.1 MB of its own) that can tell how a process ended after the server
# that asked for it is gone: nobody but the parent learns the exit code before Linux 6.15.
# It says so only while the kernel is on record: whoever ended it on purpose may have forgotten it already.
_SCRIPT = '( "$1" -I -S "$2" "$3" "$4"; ended=$?; umask 077; [ -e "$3/$4.json" ] && echo $ended >"$3/$4.end" ) &'
_BY_SIGNAL = 128


def launch(directory: Path, record: Entry, deadline_s: float) -> None:
    """Start the process and return once the waiting shell has detached; the wrapper then writes the identity.

    LaunchFailed when /bin/sh does not start it within `deadline_s`.
    """
    log = kernel_log.create(directory, record.id)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", _SCRIPT, "jupyterd-kernel", sys.executable, str(WRAPPER), str(directory), record.id],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", env={}, start_new_session=True,
            timeout=deadline_s, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LaunchFailed(f"{record.kind} {record.name}: /bin/sh does not start it: {error}") from error
    finally:
        os.close(output)
    if done.returncode:
        raise LaunchFailed(f"{record.kind} {record.name}: /bin/sh exited with {done.returncode}; see {log}")


def ending(directory: Path, kernel_id: str) -> ExitStatus:
    """The exit status that the waiting shell wrote; all None while it has not, or when the shell was killed too."""
    try:
        status = int(kept.read(directory / f"{kernel_id}.end"))
    except (OSError, ValueError):
        return ExitStatus()
    if status <= _BY_SIGNAL:
        return ExitStatus(code=status)
    try:
        return ExitStatus(signal=signal.Signals(status - _BY_SIGNAL).name)
    except ValueError:
        return ExitStatus(code=status)
