"""Whether the local firewall lets people in each network reach the port, and the line that opens it for that network
only; and the ssh line that needs no open port.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from jupyterd.cli import ssh
from jupyterd.cli.doctor import programs
from jupyterd.cli.doctor.facts import ServerFacts
from jupyterd.cli.doctor.firewall import iptables, networks, rules
from jupyterd.cli.doctor.firewall.networks import LocalNetwork
from jupyterd.cli.doctor.firewall.rules import ACCEPT, DROP, Chain, InboundConnection, Outcome, Ruleset
from jupyterd.cli.doctor.programs import NoAnswer
from jupyterd.cli.doctor.verdict import Verdict
from jupyterd.linux.net import is_loopback
from jupyterd.text import bracketed

SUBJECT, OUTSIDE = "firewall", "from outside"
_OF_IPTABLES = frozenset({"raw", "mangle", "filter", "security", "nat"})
_BY_NFT = "(nf_tables)"


def examine(base: ServerFacts, geteuid: Callable[[], int] = os.geteuid) -> Iterator[Verdict]:
    """Of each network that the server can be reached from. Only root may read the rules."""
    there = [*networks.reached(base.hosts)]
    if not there:
        yield Verdict(SUBJECT, "good", "not needed: the server listens on this machine only")
        return
    if geteuid() != 0:
        yield _unseen(base)
        return
    ruleset = read()
    for each in there:
        found = ruleset.outcome(InboundConnection(each.network, each.address, base.port, each.interface))
        yield _of_network(base, each, found)


def outside(base: ServerFacts, here: ssh.SshTarget) -> Iterator[Verdict]:
    """How another computer gets to it whatever is in between. `here` is the way that this person has logged in."""
    loopback = [each for each in base.hosts if is_loopback(each)]
    local, tunnel = here.tunnel(bracketed(loopback[0]) if loopback else "localhost", base.port)
    there = f"{base.scheme}://localhost:{local}{base.base_url}"
    if len(loopback) == len(base.hosts):
        text = f"only this machine can open it; on another computer type the line below, then open {there}"
    else:
        text = f"routers and clouds have rules of their own; if one is in the way, type this there and open {there}"
    yield Verdict(OUTSIDE, "good", text, (tunnel, *([here.note] if here.note else ())))


def read() -> Ruleset:
    """What the kernel has now, from nft(8) and iptables(8). NoAnswer where neither can say."""
    found: list[dict[str, object]] = []
    replaced: set[str] = set()
    for family, program in (("ip", "iptables-save"), ("ip6", "ip6tables-save")):
        try:
            saved = programs.said(program)
        except NoAnswer:
            continue
        found += iptables.entries(saved, family)
        if _BY_NFT in saved:
            replaced.add(family)
    try:
        document = json.loads(programs.said("nft", "--json", "list", "ruleset"))
    except NoAnswer:
        if not found and Path("/sys/module/nf_tables").exists():
            raise
        document = {"nftables": []}
    entries = [each for each in document["nftables"] if not _is_of_iptables(each, replaced)]
    return rules.parsed({"nftables": [*entries, *found]})


def _is_of_iptables(entry: dict[str, dict[str, str]], replaced: set[str]) -> bool:
    (value,) = entry.values()
    return value.get("family") in replaced and value.get("table", value.get("name")) in _OF_IPTABLES


def _of_network(base: ServerFacts, here: LocalNetwork, found: Outcome) -> Verdict:
    port = f"TCP port {base.port}"
    if found.may == {ACCEPT}:
        return Verdict(SUBJECT, "good", f"{port} is open to {here.network} ({here.interface})")
    by = f" (chain {found.by.name} of table {found.by.family} {found.by.table})" if found.by else ""
    if found.may == {DROP}:
        text = f"{port} is closed to {here.network} on {here.interface}{by}"
        return Verdict(SUBJECT, "wrong", text, opening(base.port, here, found.by, manager()))
    text = f"whether {port} is open to {here.network} depends on rules that cannot be foreseen{by}"
    return Verdict(
        SUBJECT,
        "unknown",
        text,
        ("try it there: curl -k " + f"{base.scheme}://{bracketed(here.address)}:{base.port}/api",),
    )


def manager() -> str:
    """The program that this machine's rules are kept with: "firewalld", "ufw" or ""."""
    for name, argv, word in (
        ("firewalld", ("firewall-cmd", "--state"), "running"), ("ufw", ("ufw", "status"), "Status: active"),
    ):  # fmt: skip
        try:
            if word in programs.said(*argv):
                return name
        except NoAnswer:
            continue
    return ""


def opening(port: int, here: LocalNetwork, by: Chain | None, kept_with: str) -> tuple[str, ...]:
    """What to type so that this network, and no other, reaches the port."""
    v4 = here.network.version == 4  # noqa: PLR2004 - the version
    if kept_with == "ufw":
        return (f"sudo ufw allow from {here.network} to any port {port} proto tcp",)
    if kept_with == "firewalld":
        family = f'family="ipv{here.network.version}" source address="{here.network}"'
        rule = f'rule {family} port port="{port}" protocol="tcp" accept'
        zone = _zone(here.interface)
        return (f"sudo firewall-cmd --permanent{zone} --add-rich-rule='{rule}' && sudo firewall-cmd --reload",)
    if by is not None and by.table in _OF_IPTABLES and by.name.isupper():
        table = "" if by.table == "filter" else f" -t {by.table}"
        program = "iptables" if v4 else "ip6tables"
        line = f"sudo {program}{table} -I {by.name} -s {here.network} -p tcp --dport {port} -j ACCEPT"
        return (line, "to keep it over a reboot: sudo netfilter-persistent save   (package iptables-persistent)")
    where = f"{by.family} {by.table} {by.name}" if by is not None else "inet filter input"
    rule = f"{'ip' if v4 else 'ip6'} saddr {here.network} tcp dport {port} accept"
    return (f"sudo nft insert rule {where} {rule}", f"to keep it over a reboot, write into /etc/nftables.conf: {rule}")


def _zone(interface: str) -> str:
    try:
        return f" --zone={programs.said('firewall-cmd', f'--get-zone-of-interface={interface}').strip()}"
    except NoAnswer:
        return ""  # the default zone


def _unseen(base: ServerFacts) -> Verdict:
    """What an ordinary account may know."""
    running = []
    for name in ("ufw", "firewalld", "nftables", "netfilter-persistent"):
        try:
            programs.said("systemctl", "--quiet", "is-active", name)
            running.append(name)
        except NoAnswer:
            continue
    known = f"; running: {', '.join(running)}" if running else ""
    text = f"only root may read whether TCP port {base.port} is open{known}"
    return Verdict(SUBJECT, "unknown", text, ("sudo jupyterd doctor",))
