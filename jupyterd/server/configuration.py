"""What the user's own Jupyter configuration may decide, and what jupyterd's settings decide.

Plain functions over directories and values; app.py calls them from Jupyter's hooks.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
from jupyter_server.base.handlers import RedirectWithParams
from jupyter_server.extension.config import ExtensionConfigManager
from jupyter_server.utils import origin_matches_pat, url_path_join
from tornado import web

from jupyterd.server.http import descriptors
from jupyterd.server.http.timeouts import Limits
from jupyterd.server.start_errors import StartFailed

OURS = ("base_url", "root_dir", "allow_root")
"""ServerApp's traits that jupyterd's settings decide, because the supervisor and the pages that it prints depend on
them.
"""

PAGES = {"buildAvailable": False, "buildCheck": False}
"""What every page is told. JupyterLab's page would have the server look whether JupyterLab has to be built again, with
Node.js, which cannot run in the service's sandbox: each page left a crash of 28 lines in the journal.
"""


def directories() -> list[str]:
    """Where configuration is loaded from: the directory that the settings name. No other, and not JUPYTER_CONFIG_DIR,
    where other programs write (`jupyter server password`).
    """
    named = os.environ.get("JUPYTER_CONFIG_PATH")
    return [named] if named else []


def extensions(search: list[str], known: Mapping[str, bool]) -> dict[str, bool]:
    """Server extensions that are in no generated list (`known`): packages of our own environment enable them."""
    found = ExtensionConfigManager(read_config_path=[*search, str(Path(sys.prefix, "etc", "jupyter"))])
    return {name: on for name, on in sorted(found.get_jpserver_extensions().items()) if name not in known}


def limits(connections_max: int, others: Mapping[str, Any]) -> tuple[Limits, str]:
    """Limits as far as descriptors allow, and a warning or "". StartFailed: `others` has a name that Limits has not."""
    try:
        wanted = Limits(**{"connections_max": connections_max, **others})
    except TypeError as error:
        raise StartFailed(f"JupyterdServerApp.limits: {error}") from error
    possible = descriptors.connections(wanted.connections_max)
    warning = ""
    if possible < wanted.connections_max:
        warning = (
            f"connections_max is {possible} and not {wanted.connections_max}: "
            "no more files may be open (LimitNOFILE=, ulimit -Hn)"
        )
    return attrs.evolve(wanted, connections_max=possible), warning


def enter_root_dir(directory: str) -> None:
    """StartFailed: it cannot be entered."""
    try:
        os.chdir(directory)
    except OSError as error:
        raise StartFailed(f"the root directory {directory} cannot be entered: {error.strerror}") from error


def allows_origin(settings: Mapping[str, Any]) -> Callable[[str], bool]:
    """Whether Jupyter's options `allow_origin` and `allow_origin_pat` name an origin (lower case)."""

    def named(origin: str) -> bool:
        pattern = settings.get("allow_origin_pat")
        if settings.get("allow_origin") or not pattern:
            return settings.get("allow_origin") in {"*", origin}
        return bool(origin_matches_pat(pattern, origin))

    return named


def lab_redirect(base_url: str) -> list[tuple[str, type[web.RequestHandler], dict[str, Any]]]:
    """For Application.add_handlers, without JupyterLab. Notebook registers /lab in any case and answers it with 500;
    so old bookmarks lead to the notebook.
    """
    to_tree = {"url": url_path_join(base_url, "tree"), "permanent": False}
    return [(url_path_join(base_url, r"lab(?:/.*)?"), RedirectWithParams, to_tree)]
