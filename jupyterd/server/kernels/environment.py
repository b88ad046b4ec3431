"""The environment that user code gets: the account's own, with nothing of the server's in it.

Used for kernels and terminals. `user_environment` is pure; `kernel_environment` looks at the interpreter's directory.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

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


def kernel_environment(environ: Mapping[str, str], interpreter: str) -> dict[str, str]:
    """A copy in which `!pip`, `!python` and what they start mean the kernel's own environment: the directory of its
    interpreter comes first on PATH, VIRTUAL_ENV or CONDA_PREFIX name it, and no other environment is named.
    """
    made = dict(environ)
    for name in ("VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "CONDA_PREFIX", "CONDA_DEFAULT_ENV"):
        made.pop(name, None)
    if not os.path.isabs(interpreter):  # noqa: PTH117 - found on PATH by whoever starts it
        return made
    binaries = Path(interpreter).parent
    entries = [each for each in made.get("PATH", "").split(os.pathsep) if each and each != str(binaries)]
    made["PATH"] = os.pathsep.join([str(binaries), *entries])
    if (binaries.parent / "pyvenv.cfg").is_file():
        made["VIRTUAL_ENV"] = str(binaries.parent)
    elif (binaries.parent / "conda-meta").is_dir():
        made["CONDA_PREFIX"] = str(binaries.parent)
    return made
