"""What of the server's environment is the account's: the rest must not reach a kernel, a terminal or a helper."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

_PREFIXES = ("JUPYTER_", "JUPYTERLAB_", "JUPYTERD_", "JPY_", "LISTEN_", "WATCHDOG_", "MEMORY_PRESSURE_", "TRAITLETS_")
_NAMES = frozenset({
    "NOTIFY_SOCKET", "CREDENTIALS_DIRECTORY", "INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "MANAGERPID",
    "RUNTIME_DIRECTORY", "STATE_DIRECTORY", "CACHE_DIRECTORY", "LOGS_DIRECTORY", "CONFIGURATION_DIRECTORY",
    "EXIT_CODE", "EXIT_STATUS", "SERVICE_RESULT", "FDSTORE", "MAINPID",
    "PYTHONHOME", "PYTHONEXECUTABLE", "PYTHONSAFEPATH", "__PYVENV_LAUNCHER__",
})  # fmt: skip


def user_environment(environ: Mapping[str, str], *, server_prefix: str = sys.prefix) -> dict[str, str]:
    """A copy without what belongs to the server: systemd's and Jupyter's variables, and its own virtual environment
    (VIRTUAL_ENV and the entry on PATH). A virtual environment of the user's own stays.
    """
    own_bin = os.path.normpath(os.path.join(server_prefix, "bin"))  # noqa: PTH118 - pure text, no file is looked at
    kept = {name: value for name, value in environ.items() if name not in _NAMES and not name.startswith(_PREFIXES)}
    entries = [each for each in kept.get("PATH", "").split(os.pathsep) if each]
    if server_prefix != "/usr":
        entries = [each for each in entries if os.path.normpath(each) != own_bin]
    kept["PATH"] = os.pathsep.join(entries) or os.defpath.lstrip(":")
    if os.path.normpath(kept.get("VIRTUAL_ENV", "")) == os.path.normpath(server_prefix):
        for name in ("VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT"):
            kept.pop(name, None)
    return kept
