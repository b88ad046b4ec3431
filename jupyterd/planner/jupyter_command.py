"""How the server is started: Settings -> argv, environment and working directory, as data.

The environment is built from an allow-by-default copy of the caller's, minus what must not reach user code.
"""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Mapping
from pathlib import Path

from jupyterd.linux.accounts import Account
from jupyterd.protocol.plan import Command
from jupyterd.settings.paths import Paths
from jupyterd.settings.schema import Settings

MODE = "JUPYTERD_MODE"
STATE_DIR = "JUPYTERD_STATE_DIR"
RUNTIME_DIR = "JUPYTERD_RUNTIME_DIR"
LOG = "JUPYTERD_LOG"
BOOT_ID = "JUPYTERD_BOOT_ID"
"""Read by jupyterd.linux.proc, which needs the boot id to identify processes."""

_DROPPED = frozenset({
    # systemd's messages to the supervisor alone (sd_notify(3), sd_listen_fds(3), systemd.exec(5))
    "NOTIFY_SOCKET", "CREDENTIALS_DIRECTORY", "INVOCATION_ID", "JOURNAL_STREAM", "MAINPID", "MANAGERPID",
    "SYSTEMD_EXEC_PID", "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE", "FDSTORE", "REMOTE_ADDR", "REMOTE_PORT",
    "RUNTIME_DIRECTORY", "STATE_DIRECTORY", "CONFIGURATION_DIRECTORY", "CACHE_DIRECTORY", "LOGS_DIRECTORY",
    # variables of the shell that started jupyterd
    "OLDPWD", "PWD", "SHLVL", "_", "__PYVENV_LAUNCHER__", "SSLKEYLOGFILE",
})  # fmt: skip
_DROPPED_PREFIXES = ("WATCHDOG_", "LISTEN_", "JUPYTER", "PYTHON", "TRAITLETS_", "JPY_")
_NO_SHELLS = ("nologin", "false", "true", "sync")
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def login_shell(uid: int) -> str:
    """The account's login shell, for terminals; bash or sh if it has none or one that forbids logins."""
    try:
        shell = pwd.getpwuid(uid).pw_shell
    except KeyError:
        shell = ""
    if shell and Path(shell).name not in _NO_SHELLS:
        return shell
    return "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh"


def server(
    settings: Settings, paths: Paths, who: Account, environ: Mapping[str, str], prefix: str = sys.prefix
) -> Command:
    """The command of the Jupyter server. `prefix` is the environment that jupyterd itself is installed in.

    The server starts in / and changes to the root directory itself, because only it may wait for a network disk.
    """
    env = _inherited(environ, prefix)
    env |= _personal(who, env) | _jupyter(settings, paths, who, env)
    env |= {MODE: paths.mode, STATE_DIR: str(paths.state), RUNTIME_DIR: str(paths.runtime)}
    if BOOT_ID in environ:
        env[BOOT_ID] = environ[BOOT_ID]
    env[LOG] = "terminal" if paths.mode == "foreground" else "journal"
    if paths.mode != "foreground":
        env["XDG_RUNTIME_DIR"] = f"/run/user/{who.uid}"  # where the user manager listens (jupyterd.launch)
    argv = (sys.executable, "-I", "-m", "jupyterd.server")
    return Command(argv, tuple(sorted(env.items())), "/")


def _inherited(environ: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The caller's environment without dangerous variables, and without jupyterd's own virtual environment."""
    env = {
        name: value
        for name, value in environ.items()
        if name not in _DROPPED and not name.startswith(_DROPPED_PREFIXES)
    }
    own_bin = str(Path(prefix) / "bin")
    if env.get("VIRTUAL_ENV") == prefix:
        for name in ("VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT"):
            env.pop(name, None)
    if prefix not in ("/usr", "/usr/local"):
        kept = [each for each in env.get("PATH", "").split(os.pathsep) if each and each != own_bin]
        env["PATH"] = os.pathsep.join(kept)
    return env


def _personal(who: Account, environ: Mapping[str, str]) -> dict[str, str]:
    """The account's home, name and shell, which systemd does not set in every service."""
    env = {"HOME": who.home, "USER": who.name, "LOGNAME": who.name, "SHELL": login_shell(who.uid)}
    if not environ.get("PATH"):
        env["PATH"] = _DEFAULT_PATH
    if not any(environ.get(name) for name in ("LANG", "LC_ALL", "LC_CTYPE")):
        env["LANG"] = "C.UTF-8"  # otherwise terminals show ? for every accent
    return env


def _jupyter(settings: Settings, paths: Paths, who: Account, environ: Mapping[str, str]) -> dict[str, str]:
    """Our own configuration and runtime directories; data and JupyterLab's settings are the account's, as usual."""
    data_home = environ.get("XDG_DATA_HOME") or str(Path(who.home) / ".local" / "share")
    lab = Path(who.home) / ".jupyter" / "lab"
    env = {
        "JUPYTER_CONFIG_DIR": str(paths.jupyter_config),
        "JUPYTER_RUNTIME_DIR": str(paths.jupyter_runtime),
        "JUPYTER_DATA_DIR": str(Path(data_home) / "jupyter"),
        "JUPYTER_PATH": str(paths.kernelspecs),
        "JUPYTER_PREFER_ENV_PATH": "0",
        "JUPYTERLAB_SETTINGS_DIR": str(lab / "user-settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(lab / "workspaces"),
        # Otherwise Jupyter warns about a configuration that it cannot read, and starts with its defaults.
        "TRAITLETS_APPLICATION_RAISE_CONFIG_FILE_ERROR": "1",
    }
    if settings.server.jupyter_config_dir:
        env["JUPYTER_CONFIG_PATH"] = settings.server.jupyter_config_dir
    return env
