"""The live settings in force: put into the server at its start, and again when the supervisor says Reload."""

from __future__ import annotations

import asyncio
from logging import Logger
from pathlib import Path

from jupyterd.server import live_settings
from jupyterd.server.auth.identity_provider import IdentityProvider
from jupyterd.server.auth.proxies import TrustedProxies, networks
from jupyterd.server.http import certificate
from jupyterd.server.http.server import BoundedHTTPServer
from jupyterd.server.live_settings import LiveSettings


class SettingsInForce:
    """Owns `live`, which is what everything else has been given."""

    def __init__(
        self, live: LiveSettings, server: BoundedHTTPServer, proxies: TrustedProxies, login: IdentityProvider | None
    ) -> None:
        self.live = live
        self._server, self._proxies, self._login = server, proxies, login
        self._lock = asyncio.Lock()
        self._use(live)

    async def reload(self, path: Path, log: Logger) -> str | None:
        """Read live.json at `path` and the certificate again. Returns the problem, in which case nothing changes."""
        async with self._lock:
            problem = None
            try:
                fresh = await asyncio.to_thread(live_settings.read, path)
                context = await asyncio.to_thread(certificate.context_of, fresh)
            except Exception as error:  # noqa: BLE001 - the supervisor waits for the answer
                problem = str(error) or type(error).__name__
            else:
                self._server.ssl_options = context  # open connections keep the one they began with
                self._use(fresh)
                if self._login is not None:
                    self._login.look_again()
            log.info("The settings were reloaded%s", f": {problem}; the old ones remain" if problem else "")
            return problem

    def _use(self, live: LiveSettings) -> None:
        self.live = live
        self._server.names = live.names
        self._proxies.networks = networks(live.trusted_proxies)
        if self._login is not None:
            self._login.live = live
