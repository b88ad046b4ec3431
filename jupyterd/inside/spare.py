"""A spare: a server with everything imported that waits for "go". It reads no setting before that.

What it has imported may be replaced on disk while it waits (an upgrade): then it begins anew, from nothing, in the same
process. Neighbours: __main__.py, core/settle.py (when there is one, and when it takes over).
"""

from __future__ import annotations

import gc
import json
import os
import resource
import site
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path

from jupyterd.inside.link import Link
from jupyterd.settings.paths import Paths
from jupyterd.wire.channel import Go, Warm

NICE = 10
MODULES = (
    "jupyterd.inside.app", "jupyterd.inside.logs", "jupyterd.inside.login", "jupyterd.inside.terminals",
    "jupyter_server_terminals.app", "notebook.app", "ipykernel.kernelspec",
)  # fmt: skip
LAB_MODULES = ("jupyterlab.labapp", "jupyterlab_server.handlers")


def wait(link: Link, inherited: Iterable[int], paths: Paths, environ: Mapping[str, str]) -> None:
    """Import, say Warm, and come back at Go; without a supervisor the process ends here. `environ` and
    the descriptors `inherited` are what this process was started with, for the case that it has to begin anew.
    """
    humble = _be_nice()
    _import(paths)
    before = _packages()
    gc.collect()
    gc.freeze()  # what is imported is never garbage: collections skip it, and its pages stay as they are
    link.say(Warm())
    if not isinstance(link.hear_one(), Go):
        os._exit(0)
    if humble:
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    if _packages() != before:
        _begin_anew(inherited, environ)


def _be_nice() -> bool:
    """Only where the way back is open: RLIMIT_NICE of 20 lets one return to 0 (getrlimit(2))."""
    if resource.getrlimit(resource.RLIMIT_NICE)[0] < 20 and os.geteuid() != 0:  # noqa: PLR2004 - 20 - nice 0
        return False
    os.setpriority(os.PRIO_PROCESS, 0, NICE)
    return True


def _import(paths: Paths) -> None:
    """JupyterLab's modules are heavy: only if the server that runs has them. A guess that is wrong costs time only."""
    try:
        traits = json.loads((paths.jupyter_config / "jupyter_server_config.json").read_bytes())
        lab = bool(traits["ServerApp"]["jpserver_extensions"]["jupyterlab"])
    except (OSError, ValueError, KeyError, TypeError):
        lab = False
    for name in (*MODULES, *(LAB_MODULES if lab else ())):
        try:
            import_module(name)
        except ImportError:
            continue  # whoever needs it says so when it does


def _packages() -> tuple[tuple[str, int], ...]:
    """What an installation changes: the directories that packages lie in, and our own files."""
    own = {module.__file__ for name, module in sys.modules.items() if name.startswith("jupyterd") and module.__file__}
    return tuple(_stamps(sorted({*site.getsitepackages(), *own})))


def _stamps(paths: Iterable[str]) -> Iterable[tuple[str, int]]:
    for each in paths:
        try:
            yield each, Path(each).stat().st_mtime_ns
        except OSError:
            yield each, 0


def _begin_anew(inherited: Iterable[int], environ: Mapping[str, str]) -> None:
    """The same program without the wait, in the same process, with the same descriptors."""
    for fd in inherited:
        os.set_inheritable(fd, True)
    os.execve(sys.executable, sys.orig_argv, dict(environ))  # noqa: S606 - the same program
