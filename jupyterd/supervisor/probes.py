"""The probes under way, and the one TLS context that they share."""

from __future__ import annotations

import ssl

from jupyterd.core.effects import Probe
from jupyterd.core.events import ProbeEnded
from jupyterd.supervisor import clock
from jupyterd.supervisor.poller import Poller
from jupyterd.supervisor.probe import Exchange


class Probes:
    """Owns the exchanges."""

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self._under_way: set[Exchange] = set()
        # Nothing is trusted and nothing needs to be: the served certificate is compared with the one on disk.
        # So no trust store is loaded, which would cost 2 MB.
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE

    def begin(self, probe: Probe) -> list[ProbeEnded]:
        """One more; its answer comes back here if it is known at once, else from the poller."""
        try:
            exchange = Exchange(self._poller, self._context, probe, self._under_way.discard)
        except OSError as error:  # no IPv6, no more descriptors
            return [ProbeEnded(probe.target, error.strerror or str(error), None, clock.read())]
        self._under_way.add(exchange)
        return exchange.turn()

    def cancel(self) -> None:
        """Close all; none is answered."""
        for exchange in self._under_way:
            exchange.close()
        self._under_way.clear()
