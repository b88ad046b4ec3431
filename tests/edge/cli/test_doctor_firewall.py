"""What doctor says of the firewall is what another host meets: two network namespaces with a pair of veth interfaces
between them, real rules of nftables, iptables and ufw, and real connections.
"""

from __future__ import annotations

import shlex
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.network_namespace import Namespace, network_namespace

from jupyterd.cli import ssh
from jupyterd.cli.doctor.facts import ServerFacts
from jupyterd.cli.doctor.firewall import networks, verdicts
from jupyterd.cli.doctor.verdict import Verdict
from jupyterd.protocol.plan import Listen

PORT = 8888
BASE = ServerFacts((Listen("0.0.0.0", PORT), Listen("::", PORT)), PORT, "https", "/", "alice", 1000, "service", ())
HERE, THERE = "192.168.7.1", "192.168.7.2"
HERE_TOO, ELSEWHERE = "10.50.0.1", "10.50.0.2"
DROPPED_S, OPEN_S = 0.4, 30.0
"""How long the other host tries where it should get no connection, and where it should get one: on a pair of veth
interfaces that takes less than a millisecond.
"""


class Pair:
    """This machine, with a server, and another host, in two networks."""

    def __init__(self, machine: Namespace, other: Namespace) -> None:
        self.machine, self.other = machine, other
        machine.ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
        machine.ip("link", "set", "eth1", "netns", str(other.pid))
        for each, interface, addresses in (
            (machine, "eth0", (HERE, HERE_TOO)), (other, "eth1", (THERE, ELSEWHERE)),
        ):  # fmt: skip
            for address in addresses:
                each.ip("address", "add", f"{address}/24", "dev", interface)
            each.ip("link", "set", interface, "up")

    def type(self, line: str) -> None:
        """On this machine, as root, who needs no sudo."""
        self.machine.inside(
            lambda: subprocess.run(["sh", "-ec", line.replace("sudo ", "")], check=True, capture_output=True)
        )

    def reaches(self, here: str, source: str, *, should: bool) -> bool:
        """Whether the other host gets a connection."""

        def connect() -> bool:
            try:
                socket.create_connection((here, PORT), OPEN_S if should else DROPPED_S, (source, 0)).close()
            except OSError:
                return False
            return True

        return self.other.inside(connect)

    def check(self, *, near: bool, far: bool) -> None:
        """By connections from both networks."""
        assert self.reaches(HERE, THERE, should=near) is near
        assert self.reaches(HERE_TOO, ELSEWHERE, should=far) is far

    def said(self) -> dict[str, Verdict]:
        """Network -> the verdict on it."""
        found = self.machine.inside(lambda: list(verdicts.examine(BASE)))
        return {net: each for each in found for net in ("192.168.7.0/24", "10.50.0.0/24") if net in each.text}


@pytest.fixture
def pair() -> Iterator[Pair]:
    if shutil.which("nft") is None or shutil.which("iptables") is None:
        pytest.skip("nft or iptables is missing: sudo apt install nftables iptables")
    with network_namespace() as machine, network_namespace() as other:
        made = Pair(machine, other)
        with machine.inside(lambda: socket.create_server(("0.0.0.0", PORT))):
            yield made


def nft(rules: str, policy: str = "drop", more: str = "") -> str:
    head = f"type filter hook input priority 0; policy {policy};"
    return f"nft 'table inet filter {{\n {more}\n chain input {{\n {head}\n {rules}\n }}\n }}'"


NEAR = "192.168.7.0/24"
_SET = f"set near {{ type ipv4_addr; flags interval; elements = {{ {NEAR} }} }}"
_MINE = f"chain mine {{ tcp dport != {PORT} return; accept; }}"
_STATES = "ct state vmap { invalid : drop, established : accept }"
_LATER = f"chain more {{ type filter hook input priority 10; policy accept; ip saddr {NEAR} drop; }}"
_IPTABLES = "iptables -P INPUT DROP; iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; "
OPEN, CLOSED, NEAR_ONLY, FAR_ONLY = (True, True), (False, False), (True, False), (False, True)
CASES = {
    "no rules": (":", OPEN),
    "a policy": (nft("ct state established,related accept; tcp dport 22 accept"), CLOSED),
    "a reject at the end": (nft("iif lo accept; tcp dport { 22, 80-90 } accept; reject", "accept"), CLOSED),
    "open in a range": (nft(f"{_STATES}; tcp dport 8000-{PORT} accept"), OPEN),
    "a network in a set": (nft(f"ip saddr @near tcp dport {PORT} ct state new accept", more=_SET), NEAR_ONLY),
    "a verdict map": (nft(f"ip saddr vmap {{ {NEAR} : jump mine, 10.0.0.0/8 : drop }}", more=_MINE), NEAR_ONLY),
    "by interface": (nft(f'iifname "eth*" tcp dport {PORT} accept'), OPEN),
    "by another interface": (nft(f'iifname != "eth0" tcp dport {PORT} accept'), CLOSED),
    "address and port together": (nft(f"ip saddr . tcp dport {{ 10.50.0.0/24 . {PORT} }} accept"), FAR_ONLY),
    "a second chain": (nft(f"tcp dport {PORT} accept") + f"; nft 'table ip later {{ {_LATER}\n}}'", FAR_ONLY),
    "goto": (nft("goto mine; accept", more="chain mine { tcp dport 1 accept; }"), CLOSED),
    "flags of the first packet": (nft("tcp flags & (syn|ack) == syn drop; accept"), CLOSED),
    "iptables": (f"{_IPTABLES} iptables -A INPUT -p tcp --dport 22 -j ACCEPT", CLOSED),
    "iptables, a chain": (
        (
            f"{_IPTABLES} iptables -N mine; iptables -A INPUT -p tcp -m multiport --dports 22,8000:9000 -j mine;"
            f" iptables -A mine ! -s {NEAR} -j RETURN; iptables -A mine -m comment --comment 'a b' -j ACCEPT"
        ),
        NEAR_ONLY,
    ),
    "iptables, kinds of address": (
        "iptables -A INPUT -m state --state NEW -m addrtype --dst-type LOCAL -p tcp -m tcp --syn -j REJECT",
        CLOSED,
    ),
    "iptables, an interface": (f"{_IPTABLES} iptables -A INPUT -i eth+ ! -p udp -d {HERE}/32 -j ACCEPT", NEAR_ONLY),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_open_or_closed_as_the_other_host_finds_it(pair: Pair, case: str) -> None:
    line, (near, far) = CASES[case]
    pair.type(line)
    pair.check(near=near, far=far)  # the case is what it says
    said = pair.said()
    assert {net: each.level for net, each in said.items()} == {
        NEAR: "good" if near else "wrong", "10.50.0.0/24": "good" if far else "wrong",
    }  # fmt: skip
    if near:
        return
    pair.type(said[NEAR].advice[0])
    pair.check(near=True, far=far)
    assert pair.said()[NEAR].level == "good"


def test_what_only_the_moment_decides_is_unknown(pair: Pair) -> None:
    pair.type(nft("ct mark 7 drop", "accept"))
    assert pair.said()[NEAR].level == "unknown"


def test_ufw(pair: Pair, tmp_path: Path) -> None:
    if shutil.which("ufw") is None:
        pytest.skip("ufw is missing: sudo apt install ufw")
    shutil.copytree("/etc/ufw", tmp_path / "ufw", symlinks=True)

    def ufw(line: str) -> None:
        inside = f"mount --bind {shlex.quote(str(tmp_path / 'ufw'))} /etc/ufw; {line.replace('sudo ', '')}"
        pair.type(f"unshare --mount sh -ec {shlex.quote(inside)}")

    ufw("ufw allow ssh; ufw --force enable")
    pair.check(near=False, far=False)
    assert pair.said()[NEAR].level == "wrong"
    (near,) = (each for each in pair.machine.inside(lambda: [*networks.reached(BASE.hosts)]) if each.address == HERE)
    ufw(verdicts.opening(PORT, near, None, "ufw")[0])
    pair.check(near=True, far=False)
    said = pair.said()
    assert (said[NEAR].level, said["10.50.0.0/24"].level) == ("good", "wrong")


def test_an_ordinary_account_is_told_who_may_look_and_the_line_that_needs_no_open_port(pair: Pair) -> None:
    (found,) = pair.machine.inside(lambda: list(verdicts.examine(BASE, lambda: 1000)))
    assert (found.level, found.advice) == ("unknown", ("sudo jupyterd doctor",))
    (way,) = verdicts.outside(BASE, ssh.SshTarget("alice", HERE, 2222))
    assert way.advice == (f"ssh -N -L {PORT}:localhost:{PORT} -p 2222 alice@{HERE}",)
    only = ServerFacts((Listen("::1", 443),), 443, "https", "/lab/", "alice", 1000, "service", ())
    assert [each.text for each in verdicts.examine(only)] == ["not needed: the server listens on this machine only"]
    (way,) = verdicts.outside(only, ssh.SshTarget("alice", "gpu.lan"))
    assert way.advice == ("ssh -N -L 8443:[::1]:443 alice@gpu.lan",)
    assert way.text.endswith("then open https://localhost:8443/lab/")
