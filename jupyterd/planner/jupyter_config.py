"""The configuration for Jupyter, as data: the generated configuration file, and the live settings with their secrets.

One small function for each section of the settings. Knows no traitlets: names and values only.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from jupyterd.launch import sampler_process
from jupyterd.linux import kept
from jupyterd.linux.net import is_address
from jupyterd.protocol import documents
from jupyterd.protocol.plan import Command
from jupyterd.settings.paths import Paths
from jupyterd.settings.schema import KernelSettings, LoginSettings, ServerSettings, Settings

LIVE_FORMAT = 1

Traits = dict[str, dict[str, Any]]
"""{"ServerApp": {"base_url": "/"}}: the contents of a Jupyter configuration file."""

_PAGES: Traits = {
    "LabServerApp": {"extra_labextensions_path": [str(Path(__file__).parents[1] / "server/labextensions")]}
}
"""An extension that every page of Notebook and JupyterLab loads (server/labextensions/jupyterd/static/page.js)."""
_FORMER = "jupyter_server_config.json"
_CONFIGURATION = re.compile(r"(jupyter|ipython).*config.*", re.DOTALL)
"""Names of configuration files and directories: jupyter_server_config.py, jupyter_lab_config.d, jupyter_config.json."""
_LOG_LEVELS = {"WARNING": "WARN"}
"""traitlets has another name for one level."""


@attrs.frozen
class PairFiles:
    """The certificate and its key, as files; `key` equals `certificate` for a combined file."""

    certificate: str
    key: str
    sha256: str
    """Of the leaf: a renewed certificate under the same name is another pair."""
    authority: str | None = None
    """PEM of this machine's own authority, served without a login; None if there is none."""
    watched: Mapping[str, str] = attrs.field(factory=dict)
    """File -> its mark when this was made: the server asks for another plan when the mark of a file changes."""
    renew_at: float | None = None
    """Unix seconds: when the server asks for another plan in any case, because a pair of our own has to be renewed."""


def generate(settings: Settings, paths: Paths) -> Traits:
    """The content of traits.json. Holds no secret."""
    traits: Traits = {}
    for part in (
        _server(settings.server),
        _extensions(settings.server),
        _kernels(settings.kernels, paths, settings.server.root_dir),
        _gpus(settings, paths),
        _places(paths),
        _PAGES,
    ):
        for name, values in part.items():
            traits.setdefault(name, {}).update(values)
    return traits


def live(settings: Settings, pair: PairFiles | None, names: Iterable[str] = ()) -> dict[str, Any]:
    """The content of live.json, which a running server reads again on request. `pair` None is plain HTTP; `names` are
    the host names under which browsers may come ("*.example.org" too); addresses among them need no permission.
    """
    return {
        "format": LIVE_FORMAT,
        "certificate": None if pair is None else pair.certificate,
        "key": None if pair is None else pair.key,
        "sha256": None if pair is None else pair.sha256,
        "authority": None if pair is None else pair.authority,
        "watched": {} if pair is None else dict(pair.watched),
        "renew_at": None if pair is None else pair.renew_at,
        "names": _names([*settings.server.names, *names]),
        **_login(settings.login),
    }


def keys(traits: Traits, command: Command, live_settings: dict[str, Any]) -> tuple[str, str]:
    """(server_key, live_key) of the plan: what a running server cannot change, and what it can."""
    fixed: dict[str, Any] = {"traits": traits, "argv": command.argv, "env": sorted(command.env), "cwd": command.cwd}
    # A server cannot change between plain HTTP and TLS on a socket that is open.
    fixed["tls"] = live_settings["certificate"] is not None
    return _digest(fixed), _digest(live_settings)


def write(paths: Paths, traits: Traits, live_settings: dict[str, Any], tell: kept.Tell = kept.say) -> None:
    """Make the directories (0700) and write both files (0600), each in one step. OSError."""
    for directory in (paths.state, paths.jupyter_config, paths.runtime, paths.jupyter_runtime):
        kept.directory(directory, tell)
    former = paths.jupyter_config / _FORMER
    if _is_former(former):
        former.unlink()
    kept.write(paths.traits, _document(traits), tell)
    kept.write(paths.live, _document(live_settings), tell)


def foreign(directory: Path) -> list[Path]:
    """What somebody has put into JUPYTER_CONFIG_DIR that any other Jupyter would load as configuration. Here the server
    loads nothing from there: it keeps pages' settings (serverconfig, labconfig) and nothing else.
    """
    try:
        found = sorted(each for each in directory.iterdir() if _CONFIGURATION.fullmatch(each.name))
    except OSError:
        return []
    return [each for each in found if not _is_former(each)]


def _is_former(path: Path) -> bool:
    """Whether it is what earlier versions generated in Jupyter's own directory, where other programs change it."""
    try:
        return path.name == _FORMER and "Jupyterd" in documents.document(kept.read(path))
    except (OSError, ValueError):
        return False


def _server(server: ServerSettings) -> Traits:
    return {
        "Application": {"log_level": _LOG_LEVELS.get(server.log_level, server.log_level)},
        "ServerApp": {
            "base_url": server.base_url,
            "root_dir": server.root_dir,
            "allow_root": server.allow_root,
            # Stock Jupyter lets everybody use what an extension forgot to guard.
            "allow_unauthenticated_access": False,
        },
        "Jupyterd": {"allow_unsafe": list(server.allow_unsafe)},
        "ContentsManager": {"allow_hidden": server.hidden_files},
        "JupyterdServerApp": {"connections_max": server.connections_max},
    }


def _extensions(server: ServerSettings) -> Traits:
    """The extensions that jupyterd switches on or off; the packages of other extensions enable them.

    notebook_shim only serves configuration written for Notebook 6, and loads extensions from /etc/jupyter for it.
    """
    decided = {
        "notebook": True,
        "jupyter_server_terminals": True,
        "jupyterlab": server.lab,
        "jupyter_lsp": server.lab and server.language_server,
        "notebook_shim": False,
    }
    return {"ServerApp": {"jpserver_extensions": decided}}


def _kernels(kernels: KernelSettings, paths: Paths, root_dir: str) -> Traits:
    launcher = "detached" if paths.mode == "foreground" else "user-unit"
    return {
        "KernelSpecManager": {
            "environment": kernels.environment,
            "own_environment": str(paths.kernel_environment),
            "kernelspecs_dir": str(paths.kernelspecs),
            "state_dir": str(paths.state),
            "places": [root_dir],
        },
        "KernelManager": {
            "records_dir": str(paths.kernel_records),
            "sockets_dir": str(paths.kernel_sockets),
            "memory_max": kernels.memory_max,
            "memory_high": kernels.memory_high,
            "cpu_weight": kernels.cpu_weight,
            "tasks_max": kernels.tasks_max,
            "spool_dir": str(paths.spool),
            "spool_max_bytes": kernels.spool_max_bytes,
            "launcher": launcher,
            "login_shell": "none" if paths.mode == "foreground" else kernels.login_shell,
            "variables": dict(each.split("=", 1) for each in kernels.env),
        },
        "MappingKernelManager": {
            "cull_idle_timeout": kernels.cull_idle_timeout_s,
            "cull_interval": kernels.cull_interval_s,
            "cull_connected": kernels.cull_connected,
            "cull_busy": kernels.cull_busy,
        },
        "AccountTerminalManager": {
            "records_dir": str(paths.terminal_records),
            "sockets_dir": str(paths.terminal_sockets),
            "launcher": launcher,
            "login_shell": kernels.login_shell,
        },
    }


def _gpus(settings: Settings, paths: Paths) -> Traits:
    socket = str(sampler_process.places(paths).socket) if settings.gpu.enabled else ""
    return {"KernelManager": {"gpu": settings.kernels_gpu.choose, "gpu_socket": socket}}


def _login(login: LoginSettings) -> dict[str, Any]:
    return {
        "password_hash": login.password_hash,
        "token": login.token,
        "allow_password_change": login.allow_password_change,
        "trusted_proxies": list(login.trusted_proxies),
    }


def _names(names: Iterable[str]) -> list[str]:
    """Host names only: an address that the machine gets or loses must not look like a change of the settings."""
    return sorted({"localhost", *(name.lower().rstrip(".") for name in names if not is_address(name))})


def _places(paths: Paths) -> Traits:
    return {"SessionManager": {"database_filepath": str(paths.sessions)}}


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _document(value: object) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"
