"""A spare: a server with everything imported that waits for Go. It reads no setting before that.

When what it has imported is replaced on disk (an upgrade, pip install), the same process executes its program again:
as a spare, or as the server if it is needed just then.
"""

from __future__ import annotations

import gc
import os
import select
import site
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import jupyterd
from jupyterd.linux import inotify
from jupyterd.protocol.server_channel import SPARE, Go, Imported
from jupyterd.server import live_settings
from jupyterd.server.supervisor_link import SupervisorLink
from jupyterd.settings.paths import Paths

QUIET_MS = 5000
"""An installation writes for a while; what is half there is not imported."""
Stamps = tuple[tuple[str, int], ...]
"""Paths, and when they changed."""
MODULES = (
    "jupyterd.server.app", "jupyterd.server.logs", "jupyterd.server.auth.identity_provider",
    "jupyterd.server.terminals.manager",
    "jupyter_server_terminals.app", "notebook.app", "ipykernel.kernelspec", "jinja2.ext", "tornado.platform.asyncio",
    # What Jupyter imports only when it makes its handlers (serverapp.py, JUPYTER_SERVICE_HANDLERS).
    "jupyter_server.kernelspecs.handlers", "jupyter_server.nbconvert.handlers", "jupyter_server.view.handlers",
    "jupyter_server.services.api.handlers", "jupyter_server.services.config.handlers",
    "jupyter_server.services.contents.handlers", "jupyter_server.services.events.handlers",
    "jupyter_server.services.kernels.handlers", "jupyter_server.services.kernelspecs.handlers",
    "jupyter_server.services.nbconvert.handlers", "jupyter_server.services.security.handlers",
    "jupyter_server.services.sessions.handlers", "jupyter_server.services.shutdown",
)  # fmt: skip
"""All that is loaded by the time a server serves and that no setting decides; of what is missing the takeover pays."""
LAB_MODULES = ("jupyterlab_server.handlers", "jupyter_lsp.serverextension", "httpcore")


def wait(link: SupervisorLink, inherited: Iterable[int], paths: Paths, environ: Mapping[str, str]) -> None:
    """Import, say Imported, and return at Go, which may have come meanwhile; without a supervisor the process ends
    here. `environ` and the descriptors `inherited` are what this process was started with, for the case that it has to
    execute its program again.
    """
    packages = _packages()
    before = _stamps(packages)  # what changes while it is imported counts as changed
    _import(paths)
    try:
        watched = inotify.watch([each for each in packages if Path(each).is_dir()])
    except OSError:  # then packages are compared at Go only
        watched = None
    gc.collect()
    gc.freeze()  # what is imported is never garbage: collections skip it, and its pages stay as they are
    link.say(Imported())
    if not _waits_for_message(link, watched, before):
        _start_again(inherited, {**environ, SPARE: "1"})
    if not isinstance(link.hear_one(), Go):
        os._exit(0)
    if _stamps(path for path, _ in before) != before:
        _start_again(inherited, environ)


def _waits_for_message(link: SupervisorLink, watched: int | None, before: Stamps) -> bool:
    """Wait until the supervisor says something. False: packages have changed since `before`, and are complete again.
    `watched`: readable after a change.
    """
    waiter = select.poll()
    waiter.register(link.fd, select.POLLIN)
    if watched is not None:
        waiter.register(watched, select.POLLIN)
    quiet_ms: int | None = 0  # what changed before the watch began
    while True:
        ready = [fd for fd, _ in waiter.poll(quiet_ms)]
        if link.fd in ready:
            return True
        if watched is not None and ready:
            inotify.drain(watched)
            quiet_ms = QUIET_MS
        elif _stamps(path for path, _ in before) != before:
            return False
        else:
            quiet_ms = None


def _import(paths: Paths) -> None:
    """JupyterLab's modules are heavy: only if the server that runs has them. A guess that is wrong costs time only."""
    try:
        lab = bool(live_settings.traits(paths.traits)["ServerApp"]["jpserver_extensions"]["jupyterlab"])
    except (OSError, ValueError, KeyError, TypeError):
        lab = False
    if lab:
        import_jupyterlab()
    for name in (*MODULES, *(LAB_MODULES if lab else ())):
        try:
            import_module(name)
        except ImportError:
            continue  # whoever needs it says so when it does


def import_jupyterlab() -> None:
    """Import JupyterLab's application, if it is there, without starting Node.js, which its import does to ask yarn
    for a registry that only a build would use: 0.3 s, and V8 cannot run in the service's sandbox, so that each start
    left a crash in the journal.
    """
    path = os.environ.get("PATH")
    os.environ["PATH"] = os.devnull  # what is not on it is not started: jupyterlab.commands._yarn_config
    try:
        with suppress(ImportError):
            import_module("jupyterlab.labapp")
    finally:
        if path is None:
            del os.environ["PATH"]
        else:
            os.environ["PATH"] = path


def _packages() -> list[str]:
    """What an installation changes: the directories that packages lie in, and our own directories and files."""
    own = Path(jupyterd.__file__).parent
    found = [*site.getsitepackages(), str(own)]
    for directory, below, names in os.walk(own):
        below[:] = [each for each in below if each != "__pycache__"]
        found += [f"{directory}/{each}" for each in below + [name for name in names if name.endswith(".py")]]
    return found


def _stamps(paths: Iterable[str]) -> Stamps:
    return tuple((each, _changed(each)) for each in paths)


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 - some hundred of them, on the way to the first answer
    except OSError:
        return 0


def _start_again(inherited: Iterable[int], environ: Mapping[str, str]) -> None:
    """The same program without the wait, in the same process, with the same descriptors."""
    for fd in inherited:
        os.set_inheritable(fd, True)
    os.execve(sys.executable, sys.orig_argv, dict(environ))  # noqa: S606 - the same program
