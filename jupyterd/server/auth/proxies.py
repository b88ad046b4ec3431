"""Applies X-Forwarded-For and X-Forwarded-Proto, from the proxies that the settings name only.

Before the application (http/gate.py), so that every handler and every log line sees the same address. Jupyter's own
trust_xheaders trusts every peer: with it a guesser could claim a new address for each guess.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from tornado.httputil import HTTPHeaders

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_SCHEMES = ("http", "https")


def networks(trusted: Iterable[str]) -> tuple[Network, ...]:
    """Parse the setting [login] trusted_proxies, which was validated."""
    return tuple(ipaddress.ip_network(each, strict=False) for each in trusted)


def plain(address: str) -> str | None:
    """The address without a zone, a mapped IPv4 address as IPv4; None if `address` is not an address."""
    try:
        found = ipaddress.ip_address(address.strip().partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


def caller(peer: str, forwarded: str, trusted: tuple[Network, ...]) -> str:
    """The last address in X-Forwarded-For (`forwarded`) that is not a trusted proxy, or `peer` if that is not one.

    Each proxy appends the address that it saw; whatever stands before an untrusted one can be forged.
    """
    nearest = plain(peer) or peer
    for each in reversed(forwarded.split(",")):
        if not _is_trusted(nearest, trusted):
            break
        told = plain(each)
        if told is None:
            break
        nearest = told
    return nearest


def _is_trusted(address: str, trusted: tuple[Network, ...]) -> bool:
    if not trusted or plain(address) is None:
        return False
    found = ipaddress.ip_address(address)
    return any(found in network for network in trusted)


class TrustedProxies:
    """`networks`, which a reload replaces, and what their headers say about a request."""

    def __init__(self) -> None:
        self.networks: tuple[Network, ...] = ()

    def set_origin(self, context: Any, headers: HTTPHeaders) -> None:  # noqa: ANN401 - an _HTTPRequestContext
        """Set address and scheme of the request; for each one, as a proxy's connection serves many people."""
        address = context.address
        peer = str(address[0]) if isinstance(address, tuple) else ""
        if peer:
            context.remote_ip = caller(peer, ",".join(headers.get_list("X-Forwarded-For")), self.networks)
        scheme = headers.get("X-Forwarded-Proto", "").rpartition(",")[2].strip().lower()
        if scheme in _SCHEMES and _is_trusted(plain(peer) or peer, self.networks):
            context.protocol = scheme
        else:
            context.protocol = context._orig_protocol  # noqa: SLF001 - as tornado's own _unapply_xheaders
