"""Network addresses as text."""

from __future__ import annotations

import ipaddress

IPV6_PREFIX = 64
"""Prefix length of one customer's network: an attacker there can use every address in it."""


def is_address(text: str) -> bool:
    """Whether it is a literal IPv4 or IPv6 address, without brackets."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback(address: str) -> bool:
    """Whether it is a literal loopback address; an IPv4-mapped IPv6 address (::ffff:127.0.0.1) counts as IPv4."""
    found = _parsed(address)
    return found is not None and found.is_loopback


def customer(address: str) -> str:
    """What counts as one caller: an IPv4 address, the /64 of an IPv6 address ("2001:db8::/64"), anything else as it
    is. A zone ("fe80::1%eth0") is dropped.
    """
    found = _parsed(address)
    if found is None:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(ipaddress.ip_network((int(found), IPV6_PREFIX), strict=False))


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
