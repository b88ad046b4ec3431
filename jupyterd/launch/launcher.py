"""Kernels' and terminals' processes: launch, exit status, signal, forget; the same for a user unit and a detached one.

Blocking, with deadlines; an event loop calls it in a thread.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from jupyterd.launch import detached, registry, user_manager, user_unit
from jupyterd.launch.deaths import ExitStatus
from jupyterd.launch.registry import Entry
from jupyterd.launch.user_unit import LaunchFailed
from jupyterd.linux import kept, proc
from jupyterd.linux.proc import Identity

LAUNCH_DEADLINE_S = 20.0
_LOOK_EVERY_S = 0.002


def launch(directory: Path, record: Entry, env: Mapping[str, str], deadline_s: float = LAUNCH_DEADLINE_S) -> Entry:
    """Write the record, start the process, and return the record with its identity. Raises LaunchFailed.

    The name of the unit must be free (see `clear`). The record comes first: it exists even if the caller
    dies meanwhile.
    """
    until = time.monotonic() + deadline_s
    try:
        registry.write(directory, record, env)
    except OSError as error:
        raise LaunchFailed(f"{record.kind} {record.name}: its record cannot be written: {error}") from error
    try:
        if record.unit is None:
            detached.launch(directory, record, deadline_s)
        else:
            user_unit.launch(record, directory, deadline_s)
        return replace(record, process=_await_process(directory, record, until))
    except LaunchFailed:
        registry.remove(directory, record.id)
        raise


def _await_process(directory: Path, record: Entry, until: float) -> Identity:
    while time.monotonic() < until:
        with contextlib.suppress(ValueError):
            if (process := registry.read_process(directory, record.id)) is not None:
                return process
        time.sleep(_LOOK_EVERY_S)  # a thread or a verb waits here, never the event loop
    raise LaunchFailed(
        f"{record.kind} {record.name}: started, but its wrapper did not write its identity in time; see {directory}"
    )


def clear(record: Entry) -> None:
    """End whatever the last process left behind, before the kernel is launched again. Raises LaunchFailed."""
    if record.unit is not None:
        user_unit.clear(record.unit)
    elif record.process is not None and record.kind == "kernel":  # what outlives its terminal was meant to (nohup)
        end_leftovers(record.process)


def ending(directory: Path, record: Entry, patience_s: float = 0.0) -> ExitStatus:
    """The exit status of a process that has ended; all None: unknown.

    The waiting shell of a detached process may need up to `patience_s` to write it.
    """
    if record.unit is None:
        until = time.monotonic() + patience_s
        while (ended := detached.ending(directory, record.id)) == ExitStatus() and time.monotonic() < until:
            time.sleep(_LOOK_EVERY_S)
        return ended
    try:
        return user_unit.ending(record.unit)
    except LaunchFailed:
        return ExitStatus()


def forget(directory: Path, record: Entry) -> None:
    """Remove what is left of a process that has ended for good: unit, leftovers, record, and of a kernel the connection
    file (which holds the key) and the sockets.
    """
    with contextlib.suppress(LaunchFailed):
        clear(record)
    if record.kind == "terminal":
        kept.remove(directory / f"{record.id}.conf")
    else:
        connection = Path(record.connection_file)
        connection.unlink(missing_ok=True)
        for socket in connection.parent.glob(f"{socket_stem(record.id)}-*"):
            socket.unlink(missing_ok=True)
    registry.remove(directory, record.id)  # at last: the state's disk may be read-only, that of the key is another


def socket_stem(kernel_id: str) -> str:
    """First part of the names of a kernel's ipc sockets: 12 characters, as a socket path has 107 bytes (unix(7))."""
    return kernel_id.replace("-", "")[:12]


def manager_environment(env: Mapping[str, str]) -> dict[str, str]:
    """`env` with the variable that a program needs to reach the account's user manager."""
    return {**env, "XDG_RUNTIME_DIR": str(user_manager.runtime_dir())}


def signal_group(process: Identity, signum: int) -> bool:
    """Signal the process and its group. False when it has ended, or belongs to another account (sudo) now."""
    pidfd = proc.open_pidfd(process)
    if pidfd is None:
        return False
    try:
        os.killpg(process.pid, signum)  # wrapper and user manager alike make the kernel its group's leader
    except ProcessLookupError:
        return False
    except PermissionError:
        return False  # nothing but programs of other accounts (sudo) is left in the group
    finally:
        os.close(pidfd)
    return True


def end_leftovers(process: Identity) -> None:
    """SIGKILL whatever a dead detached kernel left in its session; systemd does this for a unit, by its cgroup."""
    if process.boot != proc.boot_id() or proc.started(process.pid) not in {None, process.started}:
        return
    for pid in proc.pids():
        found = proc.stat(pid) if pid != process.pid else None
        if found is not None and found.session == process.pid and found.started >= process.started:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
