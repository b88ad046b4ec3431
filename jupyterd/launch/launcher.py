"""The one door to kernels' processes: launch, how it ended, signal, forget; a user unit or detached, same interface.

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

from jupyterd.launch import detached, registry, user_unit
from jupyterd.launch.deaths import ExitStatus
from jupyterd.launch.registry import Entry
from jupyterd.launch.user_unit import LaunchFailed
from jupyterd.linux import proc
from jupyterd.linux.proc import Identity

LAUNCH_DEADLINE_S = 20.0
_LOOK_EVERY_S = 0.002


def launch(directory: Path, record: Entry, env: Mapping[str, str], deadline_s: float = LAUNCH_DEADLINE_S) -> Entry:
    """Write the record, start the process, and return the record with its identity. Raises LaunchFailed.

    The name of the unit must be free (see `clear`). Should the caller die meanwhile, the record is there all the same.
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
        if (process := registry.read_process(directory, record.id)) is not None:
            return process
        time.sleep(_LOOK_EVERY_S)  # a thread or a verb waits here, never the event loop
    raise LaunchFailed(f"{record.kind} {record.name}: started, but it did not say who it is in time; see {directory}")


def clear(record: Entry) -> None:
    """Before the same kernel is launched again: end what its last process left behind."""
    if record.unit is not None:
        user_unit.clear(record.unit)
    elif record.process is not None and record.kind == "kernel":  # what outlives its terminal was meant to (nohup)
        end_leftovers(record.process)


def ending(directory: Path, record: Entry, patience_s: float = 0.0) -> ExitStatus:
    """How it ended; only to be asked when it has. A detached one's waiting shell may need `patience_s` to say so."""
    if record.unit is None:
        until = time.monotonic() + patience_s
        while (told := detached.ending(directory, record.id)) == ExitStatus() and time.monotonic() < until:
            time.sleep(_LOOK_EVERY_S)
        return told
    try:
        return user_unit.ending(record.unit)
    except LaunchFailed:
        return ExitStatus()


def forget(directory: Path, record: Entry) -> None:
    """What has ended for good: unit, leftovers, record; a kernel's connection file (it holds the key) and sockets."""
    with contextlib.suppress(LaunchFailed):
        clear(record)
    registry.remove(directory, record.id)
    if record.kind == "terminal":
        (directory / f"{record.id}.conf").unlink(missing_ok=True)
        return
    connection = Path(record.connection_file)
    connection.unlink(missing_ok=True)
    for socket in connection.parent.glob(f"{socket_stem(record.id)}-*"):
        socket.unlink(missing_ok=True)


def socket_stem(kernel_id: str) -> str:
    """First part of the names of a kernel's ipc sockets: short, a socket path has 107 bytes (unix(7))."""
    return kernel_id.replace("-", "")[:12]


def manager_environment(env: Mapping[str, str]) -> dict[str, str]:
    """What a program needs to reach the account's user manager, added to an environment."""
    return {**env, "XDG_RUNTIME_DIR": str(user_unit.runtime_dir())}


def signal_group(process: Identity, signum: int) -> bool:
    """Signal the kernel and what it started in its session; one that is gone already is no error (False)."""
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
    """SIGKILL what a dead detached kernel left in its session (a user unit's cgroup does this by itself)."""
    if process.boot != proc.boot_id() or proc.started(process.pid) not in {None, process.started}:
        return
    for pid in proc.pids():
        found = proc.stat(pid) if pid != process.pid else None
        if found is not None and found.session == process.pid and found.started >= process.started:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
