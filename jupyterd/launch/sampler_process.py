"""The GPU sampler's process: a unit in the account's user manager, or a detached process; never inside the service.

Blocking, with deadlines.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jupyterd.launch import user_manager, user_unit
from jupyterd.launch.user_unit import LaunchFailed
from jupyterd.linux import files, proc
from jupyterd.protocol import sampler_lock
from jupyterd.protocol.sampler_lock import LockOwner, SamplerPaths
from jupyterd.settings.paths import Paths

_LAUNCH_S = 10.0
_TERM_S = 1.0
_KILL_S = 1.0
# The driver's library may hang in its own exit handlers; CollectMode: one that has failed must not keep the name.
_PROPERTIES = (
    "CollectMode=inactive-or-failed", "TimeoutStopSec=2", "Nice=10", "SyslogIdentifier=jupyterd-gpu",
    "StandardInput=null", "OOMPolicy=continue",
)  # fmt: skip
Ended = Literal["none", "ended", "stuck"]


@dataclass(frozen=True, slots=True)
class RunningSampler:
    """The sampler that runs. The caller closes the pidfd."""

    owner: LockOwner
    pidfd: int


def places(paths: Paths) -> SamplerPaths:
    """The lock and the socket of the sampler of this state directory."""
    return SamplerPaths(paths.state / "gpu.lock", paths.runtime / "gpu.sock")


def unit_name(lock: Path) -> str:
    """The unit's name, by lock file: an account may run both the machine's service and a service of its own."""
    return f"jupyterd-gpu-{hashlib.sha256(os.fsencode(lock)).hexdigest()[:8]}.service"


def launch(program: Sequence[str], env: Mapping[str, str], lock: Path, *, as_unit: bool) -> None:
    """Start the sampler; if one runs already, the new one exits by itself. Raises LaunchFailed."""
    if not as_unit:
        try:
            subprocess.Popen(
                program, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/", env=dict(env),
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise LaunchFailed(f"the GPU sampler does not start: {error}") from error
        return
    if (problem := user_manager.trouble()) is not None:
        raise LaunchFailed(f"the GPU sampler: {problem}")
    variables = (f"{name}={value}" for name, value in env.items())  # none of them is a secret
    user_unit.start(
        unit_name(lock), "The GPUs of this machine, asked for jupyterd", _PROPERTIES,
        ["/usr/bin/env", *variables, *program], _LAUNCH_S,
    )  # fmt: skip


def find(lock: Path) -> RunningSampler | None:
    """The sampler that holds the lock; None when nobody does, or when it has just started or just ended."""
    try:
        fd = files.open_regular(lock, os.geteuid())
    except (OSError, ValueError):
        return None
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = sampler_lock.decode(os.read(fd, 1 << 16))
        else:
            return None
    except ValueError:
        return None  # it has the lock and has not written its identity yet
    finally:
        os.close(fd)
    pidfd = proc.open_pidfd_since(owner.pid, owner.started)
    return None if pidfd is None else RunningSampler(owner, pidfd)


def end(lock: Path) -> Ended:
    """End the sampler, with SIGTERM, then SIGKILL, within two seconds. "stuck": the driver hangs in the kernel, so that
    the process cannot be killed; it is left alone.
    """
    found = find(lock)
    if found is None:
        return "none"
    try:
        return "ended" if stop(found.pidfd) else "stuck"
    finally:
        os.close(found.pidfd)


def stop(pidfd: int) -> bool:
    """SIGTERM, then SIGKILL after 1 s. Whether the process has ended 1 s after that."""
    return proc.terminate(pidfd, _TERM_S, _KILL_S)
