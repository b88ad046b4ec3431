"""The networks that this machine is in, with its own address in each, as the kernel's tables have them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jupyterd.cli.doctor.firewall.rules import Network
from jupyterd.linux import interfaces
from jupyterd.planner.addresses import EVERY_V4, EVERY_V6, VIRTUAL

_ROUTES = "/proc/thread-self/net/route"
"""/proc/net is that of the main thread, which may be in another network namespace."""
_GATEWAY = 0x2
"""RTF_GATEWAY (route(8), linux/route.h)."""
_WHOLE_V4, _WHOLE_V6 = 32, 64


@dataclass(frozen=True, slots=True)
class LocalNetwork:
    """One address of an interface, and the network that is reached directly through it."""

    interface: str
    address: str
    network: Network


def reached(hosts: tuple[str, ...]) -> Iterator[LocalNetwork]:
    """Those in which somebody else could reach a server that listens on these addresses: not loopback, not link-local,
    not towards containers on this machine.
    """
    routes = [*_routes(Path(_ROUTES).read_text(encoding="ascii"))]
    for each in interfaces.held():
        address = ipaddress.ip_address(each.address)
        if address.is_loopback or each.link_local or not each.usable or each.interface.startswith(VIRTUAL):
            continue
        every = EVERY_V4 if address.version == 4 else EVERY_V6  # noqa: PLR2004 - the version
        if each.address not in hosts and every not in hosts:
            continue
        interface = each.interface.partition(":")[0]  # an alias
        if isinstance(address, ipaddress.IPv4Address):
            fitting = [net for name, net in routes if name == interface and address in net]
            found: Network = max(fitting, key=lambda net: net.prefixlen, default=_around(address, _WHOLE_V4))
        elif each.lasting:
            found = _around(address, _WHOLE_V6)
        else:
            continue
        yield LocalNetwork(interface, each.address, found)


def _around(address: ipaddress.IPv4Address | ipaddress.IPv6Address, length: int) -> Network:
    return ipaddress.ip_network(f"{address}/{length}", strict=False)


def _routes(table: str) -> Iterator[tuple[str, ipaddress.IPv4Network]]:
    """(interface, network) of each network without a gateway, from /proc/net/route (proc_net(5))."""
    for line in table.splitlines()[1:]:
        name, destination, _, flags, _, _, _, mask, *_ = line.split()
        if not int(flags, 16) & _GATEWAY and int(mask, 16):
            address, netmask = (int.from_bytes(bytes.fromhex(each)[::-1], "big") for each in (destination, mask))
            yield name, ipaddress.IPv4Network((address, netmask.bit_count()))
