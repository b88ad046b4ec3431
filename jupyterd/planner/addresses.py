"""Where to listen, which addresses to probe, which URLs may be shown: from the settings and the machine's interfaces.

Runs in the planner: names are resolved here, never in the supervisor.

A URL is shown only while every address to which it leads is proved to be ours: a browser may choose any of them, the
link may carry a token, and on an address that we do not have somebody else's program may listen on this port. What must
be proved for which URL is decided here; core/shown.py knows what is proved.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Sequence

import attrs

from jupyterd.linux import interfaces
from jupyterd.linux.net import is_loopback
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
    """The network of the machine."""

    addresses: tuple[str, ...]
    """What people type: literal, without loopback, link-local and temporary ones, IPv4 first."""
    names: tuple[tuple[str, tuple[str, ...]], ...]
    """(host name, the addresses of this machine to which it resolves). The machine's own name is among them only if
    it resolves to this machine alone, and to one of `addresses`.
    """
    ipv6: bool
    present: tuple[str, ...] = ()
    """interfaces.present()."""


def look(server: ServerSettings) -> Interfaces:
    """Ask the kernel and the resolver."""
    held = [each for each in interfaces.held() if each.usable]
    typed = {each.address for each in held if each.lasting and not each.interface.startswith(VIRTUAL)}
    usable = sorted((each for each in typed if _reachable(each)), key=lambda each: (":" in each, each))
    here = {each.address for each in held}
    names: dict[str, tuple[str, ...]] = {}

    def ask() -> None:
        for name in server.names:
            names[name] = tuple(each for each in _resolve(name) if each in here or is_loopback(each))
        own = socket.gethostname()
        found = _resolve(own)
        if here.issuperset(found) and not set(usable).isdisjoint(found):
            names.setdefault(own, found)

    # A name server that does not answer must not delay the start after a power cut.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(RESOLVE_TIMEOUT_S)
    ipv6 = any(":" in each for each in here)  # not with ipv6.disable=1, nor in many containers
    known = tuple((name, found) for name, found in names.copy().items() if found)
    return Interfaces(tuple(usable), known, ipv6, interfaces.present())


def _reachable(text: str) -> bool:
    address = ipaddress.ip_address(text)
    return not (address.is_loopback or address.is_link_local or address.is_unspecified)


def _resolve(name: str) -> tuple[str, ...]:
    """Every address, once, without the zones of link-local ones."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return tuple(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))


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
    """Every address, and every name on it, that a user might type: first one for each socket, then the others. No name
    of which one address is none of ours to listen on.
    """
    first: list[Target] = []
    others: list[Target] = []
    names = [(name, found) for name, found in machine.names if all(_is_covered(at, listen) for at in found)]
    for index, each in enumerate(listen):
        reached = [each.host]
        if each.host in (EVERY_V4, EVERY_V6):
            six = each.host == EVERY_V6
            reached = [LOOPBACKS[six], *(address for address in machine.addresses if (":" in address) == six)]
        for place, address in enumerate(reached):
            target = Target(address, address, each.port, index, needed=place == 0)
            (first if place == 0 else others).append(target)
        others += [
            Target(name, at, each.port, index, needed=False) for name, found in names for at in found if at in reached
        ]
    return (*first, *others)


def _is_covered(address: str, listen: Sequence[Listen]) -> bool:
    every = EVERY_V6 if ":" in address else EVERY_V4
    return any(each.host in (address, every) for each in listen)


def urls(
    found: Sequence[Target], listen: Sequence[Listen], machine: Interfaces, server: ServerSettings, scheme: str
) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """The URLs that may be shown, best first: names from the settings, the machine's name, addresses, loopback. With
    each: which of the targets `found` prove it (indexes). A name from the settings that does not lead to this machine
    (a router may forward to it) needs no proof, for the settings say so.
    """
    names = dict(machine.names)
    own = sorted((name for name in names if name not in server.names), key=lambda name: ("." not in name, name))
    literal = sorted({each.address for each in found}, key=lambda each: (":" in each, each))
    loopback = [each for each in (*LOOPBACKS, *literal) if each in literal and is_loopback(each)]
    hosts = {name: names.get(name, ()) for name in (*server.names, *own)}
    hosts |= {each: (each,) for each in literal if each not in loopback}
    hosts |= {"localhost": LOOPBACKS if machine.ipv6 else LOOPBACKS[:1]}
    hosts |= {each: (each,) for each in loopback}
    default = 443 if scheme == "https" else 80
    port = "" if server.port == default else f":{server.port}"
    shown = []
    for host, leads in hosts.items():
        proofs = [_proof(host, at, found, listen) for at in leads]
        if None not in proofs:
            url = f"{scheme}://{bracketed(host)}{port}{server.base_url}"
            shown.append((url, tuple(dict.fromkeys(each for each in proofs if each is not None))))
    return tuple(shown)


def _proof(host: str, at: str, found: Sequence[Target], listen: Sequence[Listen]) -> int | None:
    """Which target proves that `host` at this machine's address `at` is ours (index): the one for both, else one of the
    address, else the first of the wildcard socket that covers it. None: no socket of ours is to cover it.
    """
    every = EVERY_V6 if ":" in at else EVERY_V4
    for fits in (
        lambda each: (each.name, each.address) == (host, at),
        lambda each: each.address == at,
        lambda each: each.needed and listen[each.listener].host == every,
    ):
        index = next((index for index, each in enumerate(found) if fits(each)), None)
        if index is not None:
            return index
    return None


def certificate_names(server: ServerSettings, machine: Interfaces) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(names, addresses) for a certificate of our own: everything that may be typed into a browser. Of this machine's
    addresses those that are listened on: for any other a new certificate would bring new warnings and no use.
    """
    listen = listeners(server, machine)
    names = dict.fromkeys([*server.names, *(name for name, _ in machine.names), socket.gethostname(), "localhost"])
    return tuple(names), (*(each for each in machine.addresses if _is_covered(each, listen)), *LOOPBACKS)
