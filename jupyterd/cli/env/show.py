"""`jupyterd env show`: the environment that a kernel gets if it starts now, and where each part of it comes from."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from jupyterd.cli import _common
from jupyterd.cli._common import DONE, TROUBLE, say
from jupyterd.cli.env.context import EnvContext
from jupyterd.launch import registry, shell_environment
from jupyterd.launch.shell_environment import Computed
from jupyterd.launch.user_environment import user_environment
from jupyterd.linux import accounts, proc
from jupyterd.planner import jupyter_command
from jupyterd.text import printable

_MANAGER_S = 5.0
_STANDARD_ERROR = 2
_LIMITS = ("NOFILE", "NPROC", "MEMLOCK", "AS", "STACK", "CORE")
_UNITS = {"NOFILE": "open files", "NPROC": "processes", "MEMLOCK": "locked memory", "AS": "address space"}
_UNLIMITED = -1


def show(here: EnvContext, prefix: str, *, as_json: bool) -> int:
    """1 when a part of it is missing, which is told."""
    made = compute(here, prefix)
    sources = _sources(made)
    if as_json:
        shown = {name: {"value": value, "from": sources[name]} for name, value in sorted(made.env.items())}
        limits = {name.lower(): made.limits.get(name) for name in _LIMITS}
        print(json.dumps({"environment": shown, "limits": limits, "missing": made.told}, indent=1))
    else:
        print("\n".join(_lines(made, sources)))
    for sentence in made.told:
        say(sentence)
    return TROUBLE if made.told else DONE


def compute(here: EnvContext, prefix: str) -> Computed:
    """As the wrapper of a kernel does it; what the account's shells print goes to standard error."""
    kernels = here.settings.kernels
    reads_login = here.paths.mode != "foreground" and kernels.login_shell != "none"
    setup = registry.Setup(
        shell=jupyter_command.login_shell(os.geteuid()) if reads_login else "",
        interactive=kernels.login_shell == "interactive",
        variables=dict(each.split("=", 1) for each in kernels.env),
        prefix=prefix,
    )
    with tempfile.TemporaryDirectory(prefix="jupyterd-env-") as private:
        scratch = str(Path(private, "answer"))
        return shell_environment.compute(_base(here), asdict(setup), scratch, _STANDARD_ERROR)


def _base(here: EnvContext) -> dict[str, str]:
    """What the service gives to a kernel: the environment of the server that runs, or that it would have."""
    given: dict[str, str] = {}
    try:
        running = _common.find_server(None).running
        if running is not None and running.snapshot.server is not None:
            words = proc.text(running.snapshot.server.pid, "environ").split("\0")
            given = dict(word.split("=", 1) for word in words if "=" in word)
    except OSError:
        given = {}
    if not given:
        who = accounts.account(os.geteuid(), os.environ, service=here.paths.mode == "service")
        given = dict(jupyter_command.server(here.settings, here.paths, who, dict(os.environ)).env)
    return {**(_of_the_manager() if here.paths.mode != "foreground" else {}), **user_environment(given)}


def _of_the_manager() -> dict[str, str]:
    """What units of the account's user manager inherit; {} where none runs."""
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        return {}
    argv = [systemctl, "--user", "show-environment"]
    env = {"XDG_RUNTIME_DIR": f"/run/user/{os.geteuid()}", "PATH": os.defpath}
    try:
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=_MANAGER_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    pairs = (line.partition("=") for line in done.stdout.splitlines())
    return {name: value for name, sign, value in pairs if sign and name.isidentifier() and not value.startswith("$")}


def _sources(made: Computed) -> dict[str, str]:
    """For each variable the last step that changed it."""
    found: dict[str, str] = {}
    before: dict[str, str] = {}
    for where, env in made.steps:
        found |= {name: where for name, value in env.items() if before.get(name) != value}
        before = env
    return found


def _lines(made: Computed, sources: dict[str, str]) -> Iterable[str]:
    for where, _ in made.steps:
        here = [name for name in sorted(made.env) if sources[name] == where]
        if here:
            yield f"# {printable(where)}"
            yield from (f"{name}={printable(made.env[name])}" for name in here)
            yield ""
    limits = [f"{_UNITS[name]} {_limit(made, name)}" for name in _UNITS if name in made.limits]
    if limits:
        yield f"# limits of the login: {', '.join(limits)}"


def _limit(made: Computed, name: str) -> str:
    soft = made.limits[name][0]
    return "unlimited" if soft == _UNLIMITED else str(soft)
