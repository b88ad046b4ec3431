"""Where to listen, which addresses to probe, and which to show, from the settings and the machine's interfaces.

Runs in the planner: names are resolved here, never in the supervisor.
"""

from __future__ import annotations

import array
import fcntl
import ipaddress
import socket
import struct
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs

from jupyterd.linux.net import is_address
from jupyterd.protocol.plan import Listen, Target
from jupyterd.settings.schema import ServerSettings
from jupyterd.text import bracketed

EVERY_V4, EVERY_V6 = "0.0.0.0", "::"  # noqa: S104 - what "*" means, if the user asks for it
LOOPBACKS = ("127.0.0.1", "::1")
VIRTUAL = ("docker", "veth", "virbr", "br-", "cni", "flannel", "lxc", "lxd", "podman", "vnet")
"""Interfaces to containers and virtual machines on this machine: nobody types their addresses."""
RESOLVE_TIMEOUT_S = 2.0


@attrs.frozen
class Interfaces:
    """The network of the machine; `names` are host names that resolve to one of `addresses`."""

    addresses: tuple[str, ...]
    """Literal, without loopback and link-local ones, IPv4 first."""
    names: tuple[tuple[str, str], ...]
    """(name, one of our addresses that it resolves to)."""
    ipv6: bool


def look(server: ServerSettings) -> Interfaces:
    """Ask the kernel and the resolver."""
    found = [address for name, address in own_addresses() if not name.startswith(VIRTUAL)]
    usable = [each for each in found if _reachable(ipaddress.ip_address(each))]
    usable.sort(key=lambda each: (":" in each, each))
    names: dict[str, str] = {}

    def ask() -> None:
        for name in (*server.names, socket.gethostname()):
            here = next((each for each in _resolve(name) if each in usable), None)
            if here is not None:
                names[name] = here

    # A name server that does not answer must not delay the start after a power cut.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(RESOLVE_TIMEOUT_S)
    return Interfaces(tuple(usable), tuple(names.copy().items()), ipv6=_has_ipv6())


def _reachable(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return not (address.is_loopback or address.is_link_local or address.is_unspecified)


def _has_ipv6() -> bool:
    """Whether this machine has IPv6 (not with ipv6.disable=1, nor in many containers)."""
    return IF_INET6.exists() and bool(IF_INET6.read_text())


def _resolve(name: str) -> list[str]:
    try:
        return [str(entry[4][0]) for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)]
    except OSError:
        return []


def listeners(server: ServerSettings, machine: Interfaces) -> tuple[Listen, ...]:
    """One socket for each address; "*" and "localhost" mean both families where there are both."""
    hosts: list[str] = []
    for each in server.ip:
        if each == "*":
            hosts += [EVERY_V4, EVERY_V6]
        elif each == "localhost":
            hosts += LOOPBACKS
        else:
            hosts.append(str(ipaddress.ip_address(each)))
    if not machine.ipv6:
        hosts = [each for each in hosts if ":" not in each or each not in (EVERY_V6, *LOOPBACKS)] or hosts
    return tuple(Listen(each, server.port) for each in dict.fromkeys(hosts))


def targets(listen: Sequence[Listen], machine: Interfaces) -> tuple[Target, ...]:
    """Every address that a user might type: first one for each socket, then the others."""
    first: list[Target] = []
    others: list[Target] = []
    for index, each in enumerate(listen):
        reached = [each.host]
        if each.host in (EVERY_V4, EVERY_V6):
            six = each.host == EVERY_V6
            reached = [LOOPBACKS[six], *(address for address in machine.addresses if (":" in address) == six)]
        for place, address in enumerate(reached):
            name = "localhost" if address == LOOPBACKS[0] else address
            target = Target(name, address, each.port, index, needed=place == 0)
            (first if place == 0 else others).append(target)
        others += [Target(name, at, each.port, index, needed=False) for name, at in machine.names if at in reached]
    return (*first, *others)


def urls(found: Iterable[Target], scheme: str, base_url: str, server: ServerSettings) -> tuple[str, ...]:
    """The URLs to show, best first: names from the settings, the host's names, addresses, localhost."""

    def rank(target: Target) -> tuple[int, str]:
        if target.name in server.names:
            return 0, target.name
        if target.address in LOOPBACKS:
            return 5, "" if target.name == "localhost" else target.name
        if not is_address(target.name):
            return (1 if "." in target.name else 2), target.name
        return (4 if ":" in target.name else 3), target.name

    default = 443 if scheme == "https" else 80
    # Names from the settings are shown even if they do not resolve to this machine (a router may forward to it).
    shown = [
        f"{scheme}://{name}{'' if server.port == default else f':{server.port}'}{base_url}" for name in server.names
    ]
    for target in sorted(found, key=rank):
        host = bracketed(target.name)
        port = "" if target.port == default else f":{target.port}"
        shown.append(f"{scheme}://{host}{port}{base_url}")
    loopback = [each for each in shown if "//localhost" in each or "//[::1]" in each or "//127." in each]
    best = [each for each in shown if each not in loopback]
    return tuple(dict.fromkeys([*best, *loopback[:1]]))


def certificate_names(server: ServerSettings, machine: Interfaces) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(names, addresses) for the self-signed certificate: everything that may be typed into a browser."""
    names = dict.fromkeys([*server.names, *(name for name, _ in machine.names), socket.gethostname(), "localhost"])
    return tuple(names), (*machine.addresses, *LOOPBACKS)


IF_INET6 = Path("/proc/net/if_inet6")
_SIOCGIFCONF = 0x8912
_ROOM = 1024
"""How many addresses fit; the Linux kernel leaves out the others (netdevice(7))."""
_ENTRY = struct.Struct("16s16x" if struct.calcsize("P") == 4 else "16s24x")  # noqa: PLR2004 - a 32-bit machine
"""struct ifreq: a name, then a socket address whose bytes 4 to 8 are the address."""


def own_addresses() -> list[tuple[str, str]]:
    """(interface, address): IPv4, then IPv6. Aliases (eth0:1) have their own names."""
    return [*_ipv4(), *_ipv6()]


def _ipv4() -> list[tuple[str, str]]:
    room = array.array("B", bytes(_ENTRY.size * _ROOM))
    where, length = room.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, _SIOCGIFCONF, struct.pack("iP", length, where))
    (used,) = struct.unpack_from("i", answer)
    data = room.tobytes()[:used]
    return [
        (data[at : at + 16].partition(b"\0")[0].decode(errors="replace"), socket.inet_ntoa(data[at + 20 : at + 24]))
        for at in range(0, used, _ENTRY.size)
    ]


def _ipv6() -> list[tuple[str, str]]:
    """Address, index, prefix, scope, flags, name (proc_net(5)); () if the machine has no IPv6."""
    if not IF_INET6.exists():
        return []
    rows = [line.split() for line in IF_INET6.read_text(encoding="ascii", errors="replace").splitlines()]
    return [(row[5], str(ipaddress.IPv6Address(bytes.fromhex(row[0])))) for row in rows]
