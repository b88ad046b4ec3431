"""Kernels and terminals as transient services of the account's user manager, in jupyterd.slice.

systemctl reaches it over the manager's private socket, so neither a session bus nor a privilege is needed (measured: it
works from a fully sandboxed system service).
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from jupyterd.launch import kernel_log, user_manager
from jupyterd.launch.deaths import ExitStatus
from jupyterd.launch.registry import Entry
from jupyterd.linux import systemd, unit_file

SLICE = "jupyterd.slice"
WRAPPER = Path(__file__).with_name("wrapper.py")
"""The program that becomes the kernel, run by path and not as a module: it imports nothing of ours."""
# continue: a worker that is killed for lack of memory must not take the notebook with it (systemd.service(5)).
# 5 s: what a dead kernel leaves in its cgroup is asked to go and then killed, not waited for.
_PROPERTIES = ("OOMPolicy=continue", "TimeoutStopSec=5", "StandardInput=null")
_OF_KIND: dict[str, tuple[str, ...]] = {
    "kernel": (),
    # systemd.kill(5): a shell ends by SIGHUP, and what it started with nohup(1) goes on, as anywhere.
    "terminal": ("KillMode=process", "SendSIGHUP=yes", "CollectMode=inactive-or-failed"),
}
_ANSWER_S = 10.0
_LOOK_EVERY_S = 0.1
_KNOWN_S = 5.0
_CLD_NONE, _CLD_EXITED = "0", "1"
"""ExecMainCode=, waitid(2)'s si_code."""


class LaunchFailed(Exception):  # noqa: N818 - past tense, like every event; the sentence in it is for the user
    """A process could not be started: one sentence that says what, where, and what to type."""


def terminal_unit_name(terminal: str) -> str:
    """The unit's name, from the terminal's."""
    return f"jupyterd-terminal-{terminal}.service"


def launch(record: Entry, directory: Path, deadline_s: float) -> None:
    """Start the unit of a kernel or terminal; returns when its wrapper runs (Type=exec). Raises LaunchFailed."""
    if (problem := user_manager.trouble()) is not None:
        raise LaunchFailed(f"{record.kind} {record.name}: {problem}")
    own = (f"SyslogIdentifier=jupyterd-{record.kind}", *_OF_KIND[record.kind])
    properties = [*_PROPERTIES, *own, *(f"{name}={value}" for name, value in record.limits)]
    if record.kind == "kernel":
        output = kernel_log.create(directory, record.id)
        properties += [f"StandardOutput=append:{output}", f"StandardError=append:{output}"]
    program = [sys.executable, "-I", "-S", str(WRAPPER), str(directory), record.id]
    start(str(record.unit), f"Jupyter {record.kind} {record.name} {record.id}", properties, program, deadline_s)


def start(unit: str, description: str, properties: Iterable[str], program: Iterable[str], deadline_s: float) -> None:
    """Start any program as a transient unit; returns when it runs (Type=exec). Raises LaunchFailed."""
    argv = [
        "systemd-run", "--user", "--quiet", "--no-ask-password", f"--unit={unit}", f"--slice={SLICE}",
        "--service-type=exec", *_transient(properties, description, program),
    ]  # fmt: skip
    done = _run(argv, deadline_s)
    if done.returncode:
        raise LaunchFailed(f"{description}: systemd-run --user refused it: {done.stderr.strip()}")


def once(program: Sequence[str], names: Iterable[str], output: Path, deadline_s: float) -> list[str]:
    """An argv that runs a program in the user manager and waits for its end; its output goes to the file `output`.

    Type=oneshot and a file, because --wait and --pipe need a session bus, which a bare Debian has not (measured on
    252). `names` are variables to hand on from the caller's environment; their values stay out of argv. LaunchFailed.
    """
    properties = (
        f"TimeoutStartSec={deadline_s:.0f}",
        f"StandardOutput=truncate:{output}",
        f"StandardError=append:{output}",
    )
    return [
        "systemd-run", "--user", "--quiet", "--collect", "--no-ask-password", "--service-type=oneshot",
        f"--slice={SLICE}", *(f"--setenv={each}" for each in sorted(names)), *_transient(properties, "", program),
    ]  # fmt: skip


def _transient(properties: Iterable[str], description: str, program: Iterable[str]) -> list[str]:
    try:
        return unit_file.transient(properties, description, program)
    except ValueError as error:
        raise LaunchFailed(f"the user manager cannot start it: {error}") from error


def clear(unit: str, deadline_s: float = _ANSWER_S) -> None:
    """Stop the unit and reset its state, so that its name is free. Raises LaunchFailed."""
    _run(["systemctl", "--user", "stop", "--", unit], deadline_s)
    _run(["systemctl", "--user", "reset-failed", "--", unit], deadline_s)


def end_terminals(grace_s: float) -> None:
    """End every process in the units of terminals, also those that outlived their shells: SIGTERM, then SIGKILL after
    `grace_s`. Raises LaunchFailed.
    """
    pattern = "jupyterd-terminal-*.service"
    kill = ("systemctl", "--user", "kill", "--all", "--kill-whom=all")
    listed = ["systemctl", "--user", "list-units", "--all", "--no-legend", "--plain", "--", pattern]
    until = time.monotonic() + grace_s
    _run([*kill, "--signal=TERM", "--", pattern], _ANSWER_S)
    while _run(listed, _ANSWER_S).stdout.strip():
        if time.monotonic() > until:
            _run([*kill, "--signal=KILL", "--", pattern], _ANSWER_S)
            return
        time.sleep(_LOOK_EVERY_S)


def ending(unit: str) -> ExitStatus:
    """The exit status of the unit's main process, which has ended; waits until systemd knows it. Raises LaunchFailed.

    systemd forgets units that ended well: that is exit code 0.
    """
    until = time.monotonic() + _KNOWN_S
    while (shown := show(unit)).get("ExecMainCode") == _CLD_NONE and time.monotonic() < until:
        time.sleep(_LOOK_EVERY_S)
    return exit_status(shown)


def exit_status(shown: Mapping[str, str]) -> ExitStatus:
    """The exit status from the properties that `systemctl show` printed (org.freedesktop.systemd1(5))."""
    if shown.get("LoadState") == "not-found":
        return ExitStatus(code=0)
    result = shown.get("Result", "")
    status = shown.get("ExecMainStatus", "")
    if not status.isdigit():
        return ExitStatus(result=result)
    if shown.get("ExecMainCode") == _CLD_EXITED:
        return ExitStatus(code=int(status), result=result)
    try:
        return ExitStatus(signal=signal.Signals(int(status)).name, result=result)
    except ValueError:
        return ExitStatus(result=result)


def show(unit: str) -> dict[str, str]:
    """The unit's state as `systemctl show` properties; {} when systemctl fails. Raises LaunchFailed when it hangs."""
    names = "LoadState,ActiveState,Result,ExecMainCode,ExecMainStatus,MainPID"
    done = _run(["systemctl", "--user", "show", f"--property={names}", "--", unit], _ANSWER_S)
    return systemd.properties(done.stdout)


def _run(argv: list[str], deadline_s: float) -> subprocess.CompletedProcess[str]:
    env = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "XDG_RUNTIME_DIR": str(user_manager.runtime_dir()),
        "LC_ALL": "C.UTF-8",
    }
    try:
        return subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=deadline_s, check=False, env=env
        )
    except FileNotFoundError as error:
        raise LaunchFailed(f"{argv[0]} is not installed: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise LaunchFailed(
            f"`{' '.join(argv[:3])}` gave no answer for {deadline_s:.0f} s; is the user manager well? "
            "type: systemctl --user status"
        ) from error
