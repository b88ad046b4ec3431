"""Lets Jupyter's own tools find this server and its kernels: `jupyter server list`, `jupyter console --existing`.

In the account's own Jupyter runtime directory lie a file about the server, without any secret, and for each kernel a
link to its connection file, which only the account can read. Nothing that is wrong there keeps anybody from working.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jupyterd.linux import files
from jupyterd.protocol import documents
from jupyterd.text import bracketed

_HERE = frozenset({"127.0.0.1", "::1", "0.0.0.0", "::"})  # noqa: S104 - addresses that localhost reaches
_OURS = "jupyterd"
"""Key of the file about a server: the state directory. Files of other servers are left alone."""


def facts(told: Mapping[str, Any], sockets: Iterable[socket.socket], *, tls: bool) -> dict[str, Any]:
    """What Jupyter tells of a server (ServerApp.server_info), with an address of ours and nothing that logs in."""
    hosts = [str(each.getsockname()[0]) for each in sockets]
    host = next((each for each in hosts if each not in _HERE), "localhost")
    if not _HERE.isdisjoint(hosts):
        host = "localhost"
    url = f"{'https' if tls else 'http'}://{bracketed(host)}:{told['port']}{told['base_url']}"
    return {**told, "url": url, "hostname": host, "secure": tls, "token": "", "password": True}


class Discovery:
    """`directory` is the runtime directory, `state` names whose files are ours."""

    def __init__(self, directory: Path, state: Path, log: logging.Logger) -> None:
        self._directory, self._state, self._log = directory, str(state), log
        self._own = directory / f"jpserver-{os.getpid()}.json"

    def announce(self, info: Mapping[str, Any]) -> None:
        """Write the file about this server, and remove those of earlier ones that were killed."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for each in self._directory.glob("jpserver-*.json"):
                if each != self._own and self._is_ours(each):
                    each.unlink(missing_ok=True)
            files.replace(self._own, json.dumps({**info, _OURS: self._state}, indent=2, sort_keys=True).encode())
        except OSError as error:
            self._log.debug("Jupyter's tools cannot find this server: %s", error)

    def show_kernels(self, connections: Mapping[str, str]) -> None:
        """A link to each connection file, by kernel id, and none to those of kernels that are gone."""
        wanted = {f"kernel-{kernel}.json": file for kernel, file in connections.items()}
        try:
            for each in self._directory.glob("kernel-*.json"):
                if each.is_symlink() and not each.exists() and each.name not in wanted:
                    each.unlink(missing_ok=True)
            for name, file in wanted.items():
                link = self._directory / name
                if link.is_symlink() and str(link.readlink()) != file:
                    link.unlink()
                if not os.path.lexists(link):
                    link.symlink_to(file)
        except OSError as error:
            self._log.debug("Jupyter's tools cannot find the kernels: %s", error)

    def withdraw(self) -> None:
        """Remove the file about this server, which ends. Its kernels stay."""
        try:
            self._own.unlink(missing_ok=True)
        except OSError as error:
            self._log.debug("The file about this server stays: %s", error)

    def _is_ours(self, file: Path) -> bool:
        try:
            return documents.document(files.read_untrusted(file)).get(_OURS) == self._state
        except (OSError, ValueError):
            return False
