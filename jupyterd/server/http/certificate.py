"""The served certificate: its TLS context, a watch on the original files, and the download of our own authority's.

It only notices changes; the planner reads, checks and copies the files.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web

from jupyterd.linux.files import stat_mark
from jupyterd.server.live_settings import LiveSettings

LOOK_EVERY_S = 10.0
ASK_AGAIN_S = 20.0
"""Seconds before it asks again if nothing has changed (other settings are refused); doubled up to ASK_SELDOM_S."""
ASK_SELDOM_S = 3600.0
PATH = "jupyterd/ca.crt"


class Watcher:
    """Watches the files in a thread of its own, because stat(2) of a file on a network disk may block for ever."""

    def __init__(self, live: Callable[[], LiveSettings], ask: Callable[[str], None]) -> None:
        """`live` gives the settings in force; `ask` is told why another plan is due, from this thread."""
        self._live = live
        self._ask = ask
        self._seen: dict[str, str] = {}
        self._patience_s = ASK_AGAIN_S
        self._next_at = 0.0
        threading.Thread(target=self._run, name="certificate", daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(LOOK_EVERY_S)
            why, seen = due(self._live(), time.time())
            if not why:
                self._patience_s = ASK_AGAIN_S
            elif seen != self._seen or time.monotonic() >= self._next_at:
                fresh = seen != self._seen
                self._patience_s = ASK_AGAIN_S if fresh else min(2 * self._patience_s, ASK_SELDOM_S)
                self._next_at = time.monotonic() + self._patience_s
                self._ask(why)
            self._seen = seen


def due(live: LiveSettings, now: float) -> tuple[str, dict[str, str]]:
    """(why another plan is due or "", how the watched files look). `now` is Unix time. Blocks as long as stat does."""
    seen = {path: stat_mark(path) for path in live.watched}
    changed = [path for path, looks in seen.items() if looks != live.watched[path]]
    if changed:
        return f"{', '.join(changed)} changed", seen
    if live.renew_at is not None and now >= live.renew_at:
        return "the certificate is due for renewal", seen
    return "", seen


class AuthorityHandler(JupyterHandler):
    """GET <base>/jupyterd/ca.crt: the public half, for whoever is about to trust it; no login, for it is no secret."""

    def initialize(self, live: Callable[[], LiveSettings]) -> None:
        """Tornado's hook; `live` returns the settings in force."""
        self._live = live

    @allow_unauthenticated
    def get(self) -> None:
        """The file, under the type by which phones and browsers offer to trust it; 404 where there is none."""
        authority = self._live().authority
        if authority is None:
            raise web.HTTPError(404, "this server has no authority of its own: jupyterd cert new makes one")
        self.set_header("Content-Type", "application/x-x509-ca-cert")
        self.set_header("Content-Disposition", 'attachment; filename="jupyterd-ca.crt"')
        self.set_header("Cache-Control", "no-store")
        self.finish(authority)


def handlers(
    base_url: str, live: Callable[[], LiveSettings]
) -> list[tuple[str, type[web.RequestHandler], dict[str, Any]]]:
    """The rules for Application.add_handlers."""
    return [(url_path_join(base_url, PATH), AuthorityHandler, {"live": live})]


def context_of(live: LiveSettings) -> ssl.SSLContext | None:
    """The TLS context for these settings; None: plain HTTP. Reads files. ValueError as from `context`."""
    return None if live.certificate is None else context(live.certificate, live.key or live.certificate)


def context(certificate: str, key: str) -> ssl.SSLContext:
    """A context that serves this pair, for all connections; ValueError is one sentence that names the file.

    A dictionary of options, Jupyter's way, reads both files for each connection (4.1 ms instead of 1.3 ms a handshake)
    and lets every handshake hang while the files do not match.

    A renewal makes a new context rather than loading the pair into the old one: OpenSSL keeps one certificate for
    each type of key, and would go on serving the old one when the type changes (SSL_CTX_use_certificate(3)).
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    try:
        made.load_cert_chain(certificate, key, password=_refuse)
    except ssl.SSLError as error:
        raise ValueError(_sentence(error, certificate, key)) from error
    except OSError as error:
        where = certificate if certificate == key else f"{certificate} or {key}"
        raise ValueError(f"{where} cannot be read: {error.strerror or error}") from error
    return made


def _sentence(error: ssl.SSLError, certificate: str, key: str) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"the key in {key} does not belong to the certificate in {certificate}"
    reason = (error.reason or str(error)).replace("_", " ").lower()
    if certificate == key:
        return f"{certificate} does not hold a PEM certificate and its key: {reason}"
    return f"{certificate} and {key} are not a PEM certificate and its key: {reason}"


def _refuse() -> str:
    """The pass-phrase callback; without it OpenSSL would ask on the terminal and wait for ever. ValueError."""
    raise ValueError("the key is encrypted: store it without a pass phrase, readable by the account only")
