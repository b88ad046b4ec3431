"""What netfilter does to a new TCP connection from a network to a port of this machine, from the rules as
`nft --json list ruleset` prints them (libnftables-json(5)). Pure.

Three answers for each match: yes, no, and None for what cannot be foreseen, or what holds for a part of the network
only. So the outcome is a set: "accept", "drop", or both.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
ACCEPT, DROP = "accept", "drop"
_DEEPEST = 16
"""Of jumps; netfilter's own bound is the same."""
_NUMBERS = {"tcp": 6, "icmp": 1, "udp": 17, "ipv6-icmp": 58, "icmpv6": 58}
_NOTHING = frozenset({
    "counter", "log", "limit", "quota", "comment", "meter", "set", "map", "mangle", "notrack", "ct helper", "last",
    "ct count", "ct timeout", "flow", "secmark",
})  # fmt: skip
"""Statements that decide nothing about the first packets of a connection."""


@dataclass(frozen=True, slots=True)
class InboundConnection:
    """From anybody in `source`, which arrives on `interface`, to `port` at this machine's address `to`."""

    source: Network
    to: str
    port: int
    interface: str

    @property
    def is_v4(self) -> bool:
        """Whether it is IPv4."""
        return self.source.version == 4  # noqa: PLR2004 - the version


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain of the ruleset, by (family, table, name). `hook` is "" for one that is only jumped to."""

    family: str
    table: str
    name: str
    hook: str
    priority: int
    policy: str
    rules: tuple[tuple[dict[str, Any], ...], ...]

    @property
    def key(self) -> tuple[str, str, str]:
        """Its name in the ruleset."""
        return self.family, self.table, self.name


@dataclass(frozen=True, slots=True)
class Outcome:
    """`may` holds ACCEPT, DROP or both; `by` is the base chain that drops, or may."""

    may: frozenset[str]
    by: Chain | None = None


@dataclass(slots=True)
class Ruleset:
    """Chains and sets; `elements` by (family, table, name)."""

    chains: dict[tuple[str, str, str], Chain] = field(default_factory=dict)
    elements: dict[tuple[str, str, str], list[Any]] = field(default_factory=dict)

    def outcome(self, connection: InboundConnection) -> Outcome:
        """Every base chain before and at the hook "input" sees the packet, in the order of priorities: one that drops
        is final, one that accepts hands it on.
        """
        families = {"inet", "ip" if connection.is_v4 else "ip6"}
        base = [each for each in self.chains.values() if each.hook in {"prerouting", "input"}]
        base = [each for each in base if each.family in families]
        may, by = frozenset({ACCEPT}), None
        for each in sorted(base, key=lambda chain: (chain.hook == "input", chain.priority)):
            found = _Walk(self, connection, each).ended()
            if DROP in found:
                may, by = may | {DROP} if ACCEPT in found else frozenset({DROP}), by or each
                if ACCEPT not in found:
                    return Outcome(may, each)
        return Outcome(may, by)


def parsed(document: Mapping[str, Any]) -> Ruleset:
    """From the JSON document. ValueError for another one."""
    made = Ruleset()
    rules: dict[tuple[str, str, str], list[tuple[dict[str, Any], ...]]] = {}
    heads: list[Mapping[str, Any]] = []
    try:
        for entry in document["nftables"]:
            for kind, value in entry.items():
                if kind == "chain" and value.get("type", "filter") == "filter":
                    heads.append(value)
                elif kind == "rule":
                    key = (value["family"], value["table"], value["chain"])
                    rules.setdefault(key, []).append(tuple(value["expr"]))
                elif kind in {"set", "map"}:
                    made.elements[value["family"], value["table"], value["name"]] = value.get("elem", [])
        for head in heads:
            key = (head["family"], head["table"], head["name"])
            made.chains[key] = Chain(
                *key, head.get("hook", ""), int(head.get("prio", 0)), head.get("policy", ACCEPT),
                tuple(rules.get(key, ())),
            )  # fmt: skip
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a ruleset: {error}") from error
    return made


@dataclass(slots=True)
class _Walk:
    """One base chain, for one connection."""

    ruleset: Ruleset
    connection: InboundConnection
    base: Chain

    def ended(self) -> frozenset[str]:
        """What may become of the packet in it."""
        may, falls_through = self._chain(self.base, 0)
        return may | {self.base.policy} if falls_through else may

    def _chain(self, chain: Chain, depth: int) -> tuple[frozenset[str], bool]:
        """(the verdicts that may fall in it, whether the packet may come out at its end)."""
        may: frozenset[str] = frozenset()
        if depth > _DEEPEST:
            return frozenset({ACCEPT, DROP}), True
        for rule in chain.rules:
            found, goes_on = self._rule(chain, rule, depth)
            may |= found - {"return"}
            if "return" in found and not goes_on:
                return may, True
            if not goes_on:
                return may, False
            if "return" in found:  # in a case that cannot be foreseen
                rest = frozenset({ACCEPT, DROP})
                return may | rest, True
        return may, True

    def _rule(self, chain: Chain, rule: Sequence[dict[str, Any]], depth: int) -> tuple[frozenset[str], bool]:
        """(the verdicts that may fall, whether the next rule may see the packet)."""
        surely = True
        for expression in rule:
            ((kind, value),) = expression.items()
            if kind == "match":
                holds = self._matches(chain, value)
                if holds is False:
                    return frozenset(), True
                surely = surely and holds is True
                continue
            if kind in _NOTHING:
                continue
            verdict, goes_on = self._statement(chain, kind, value, depth)
            if verdict or not goes_on:
                return verdict, goes_on or not surely
        return frozenset(), True

    def _statement(self, chain: Chain, kind: str, value: Any, depth: int) -> tuple[frozenset[str], bool]:  # noqa: ANN401, PLR0911 - JSON; one for each statement
        match kind:
            case "accept" | "drop" | "return":
                return frozenset({kind}), False
            case "reject":
                return frozenset({DROP}), False
            case "jump" | "goto":
                target = self.ruleset.chains.get((chain.family, chain.table, value["target"]))
                if target is None:
                    return frozenset({ACCEPT, DROP}), True
                may, comes_back = self._chain(target, depth + 1)
                if kind == "goto" and comes_back:
                    return may | {"return"}, False
                return may, comes_back
            case "vmap":
                return self._vmap(chain, value, depth)
            case _:  # queue, xt, synproxy: somebody else decides
                return frozenset({ACCEPT, DROP}), True

    def _vmap(self, chain: Chain, value: Mapping[str, Any], depth: int) -> tuple[frozenset[str], bool]:
        surely_one = False
        may: frozenset[str] = frozenset()
        goes_on = False
        for key, verdict in _pairs(self._elements(chain, value["data"])):
            holds = self._is(chain, value["key"], key)
            if holds is False:
                continue
            ((kind, argument),) = verdict.items()
            found, further = (
                self._statement(chain, kind, argument, depth) if kind != "continue" else (frozenset(), True)
            )
            may, goes_on = may | found, goes_on or further
            if holds is True:
                surely_one = True
                break
        return may, goes_on or not surely_one

    def _matches(self, chain: Chain, match: Mapping[str, Any]) -> bool | None:
        op, left, right = match["op"], match["left"], match["right"]
        if op in {"<", ">", "<=", ">="}:
            return None if not _is_port(left) else _compared(self.connection.port, op, right)
        holds = self._is(chain, left, right)
        return holds if op != "!=" or holds is None else not holds

    def _is(self, chain: Chain, left: Any, right: Any) -> bool | None:  # noqa: ANN401 - JSON
        """Whether a property of the packet is one of the values."""
        values = self._elements(chain, right)
        answers = [self._is_one(left, each) for each in values]
        return True if True in answers else None if None in answers else False

    def _elements(self, chain: Chain, right: Any) -> list[Any]:  # noqa: ANN401 - JSON
        if isinstance(right, str) and right.startswith("@"):
            return self.ruleset.elements.get((chain.family, chain.table, right[1:]), [])
        if isinstance(right, dict) and "set" in right:
            inner = right["set"]
            return inner if isinstance(inner, list) else self._elements(chain, inner)
        return right if isinstance(right, list) else [right]

    def _is_one(self, left: Any, right: Any) -> bool | None:  # noqa: ANN401 - JSON
        if isinstance(right, dict) and "elem" in right:
            right = right["elem"]["val"]
        if not isinstance(left, dict) or len(left) != 1:
            return None
        ((kind, value),) = left.items()
        answer: bool | None = None
        match kind:
            case "concat" if isinstance(right, dict) and "concat" in right:
                parts = [self._is_one(*each) for each in zip(value, right["concat"], strict=False)]
                answer = False if False in parts else None if None in parts else True
            case "payload":
                answer = self._payload(value, right)
            case "meta":
                answer = self._meta(value["key"], right)
            case "ct" if value.get("key") == "state":
                answer = bool(right == "new")
            case "fib" if value.get("result") == "type" and "daddr" in value["flags"]:
                answer = bool(right == "local")
            case "&" if {"payload": {"protocol": "tcp", "field": "flags"}} in value:
                answer = bool(right == "syn")  # the first packet of a connection
        return answer

    def _payload(self, value: Mapping[str, Any], right: Any) -> bool | None:  # noqa: ANN401 - JSON
        here = self.connection
        answer: bool | None = None
        match value.get("protocol"), value.get("field"):
            case ("tcp" | "th", "dport"):
                answer = _within(here.port, right)
            case ("udp" | "icmp" | "icmpv6" | "sctp" | "dccp" | "arp", _):
                answer = False
            case ("ip" | "ip6" as protocol, _) if (protocol == "ip") != here.is_v4:
                answer = False
            case ("ip" | "ip6", "saddr"):
                answer = _overlap(here.source, right)
            case ("ip" | "ip6", "daddr"):
                answer = _overlap(ipaddress.ip_network(here.to), right)
            case ("ip", "protocol") | ("ip6", "nexthdr"):
                answer = bool(_NUMBERS.get(right, right) == _NUMBERS["tcp"])
        return answer

    def _meta(self, key: str, right: Any) -> bool | None:  # noqa: ANN401 - JSON
        here = self.connection
        match key:
            case "iif" | "iifname":
                name = str(right)
                return here.interface.startswith(name[:-1]) if name.endswith("*") else here.interface == name
            case "l4proto":
                return bool(_NUMBERS.get(right, right) == _NUMBERS["tcp"])
            case "nfproto" | "protocol":
                return right in (("ipv4", "ip") if here.is_v4 else ("ipv6", "ip6"))
            case "mark":
                return bool(right == 0)
            case "pkttype":
                return right in {"host", "unicast"}
            case _:
                return None


def _is_port(left: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(left, dict) and left.get("payload", {}).get("field") == "dport"


def _compared(port: int, op: str, right: Any) -> bool | None:  # noqa: ANN401 - JSON
    if not isinstance(right, int):
        return None
    return {"<": port < right, ">": port > right, "<=": port <= right, ">=": port >= right}[op]


def _within(port: int, right: Any) -> bool | None:  # noqa: ANN401 - JSON
    if isinstance(right, dict) and "range" in right:
        low, high = right["range"]
        return bool(low <= port <= high) if isinstance(low, int) and isinstance(high, int) else None
    return port == right if isinstance(right, int) else None


def _overlap(mine: Network, right: Any) -> bool | None:  # noqa: ANN401 - JSON
    """Whether all of `mine` is in it; None for a part of it."""
    try:
        answers = [_contains(each, mine) for each in _networks(right)]
    except (ValueError, TypeError, KeyError):
        return None
    return True if True in answers else None if None in answers else False


def _contains(outer: Network, mine: Network) -> bool | None:
    if isinstance(outer, ipaddress.IPv4Network) and isinstance(mine, ipaddress.IPv4Network):
        return True if mine.subnet_of(outer) else None if outer.overlaps(mine) else False
    if isinstance(outer, ipaddress.IPv6Network) and isinstance(mine, ipaddress.IPv6Network):
        return True if mine.subnet_of(outer) else None if outer.overlaps(mine) else False
    return False


def _networks(right: Any) -> Iterable[Network]:  # noqa: ANN401 - JSON
    if isinstance(right, dict) and "prefix" in right:
        return [ipaddress.ip_network(f"{right['prefix']['addr']}/{right['prefix']['len']}", strict=False)]
    if isinstance(right, dict) and "range" in right:
        low, high = (ipaddress.ip_address(each) for each in right["range"])
        return list(ipaddress.summarize_address_range(low, high))
    return [ipaddress.ip_network(right)]


def _pairs(elements: Iterable[Any]) -> Iterable[tuple[Any, Mapping[str, Any]]]:
    for each in elements:
        key, verdict = each
        yield (key["elem"]["val"] if isinstance(key, dict) and "elem" in key else key), verdict
