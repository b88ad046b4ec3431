"""The rules of iptables as `iptables-save` prints them, in the form of rules.py. Pure.

nft(8) does not show what the extensions of iptables mean, so its tables are read in iptables' own words.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from typing import Any

_PRIORITIES = {"raw": -300, "mangle": -150, "filter": 0, "security": 50}
"""Of netfilter's hooks (iptables(8); linux/netfilter_ipv4.h)."""
_UNKNOWN: dict[str, Any] = {"match": {"op": "==", "left": {"unknown": None}, "right": 0}}
_DECIDES_NOTHING = frozenset({
    "LOG", "NFLOG", "MARK", "CONNMARK", "TRACE", "SET", "TCPMSS", "CT", "NOTRACK", "DSCP", "TOS", "CHECKSUM", "AUDIT",
})  # fmt: skip
"""Targets after which the packet goes on."""
_DPORT: dict[str, Any] = {"payload": {"protocol": "tcp", "field": "dport"}}
_ALONE = frozenset({"--log-tcp-options", "--log-ip-options", "--log-tcp-sequence", "--log-uid", "--random"})
"""Options without a value."""


def entries(saved: str, family: str) -> list[dict[str, Any]]:
    """Chains and rules for rules.parsed; `family` is "ip" or "ip6". Tables of nat decide nothing and are left out."""
    found: list[dict[str, Any]] = []
    table = ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        if table not in _PRIORITIES:
            continue
        if line.startswith(":"):
            found.append(_chain(line, family, table))
        elif line.startswith("-A "):
            words = shlex.split(line)
            rule = {"family": family, "table": table, "chain": words[1], "expr": list(_expressions(words[2:]))}
            found.append({"rule": rule})
    return found


def _chain(line: str, family: str, table: str) -> dict[str, Any]:
    name, policy, *_ = line[1:].split()
    head: dict[str, Any] = {"family": family, "table": table, "name": name}
    hook = {"INPUT": "input", "PREROUTING": "prerouting"}.get(name)
    if hook is not None:
        head |= {"type": "filter", "hook": hook, "prio": _PRIORITIES[table], "policy": policy.lower()}
    return {"chain": head}


def _expressions(words: list[str]) -> Iterator[dict[str, Any]]:
    """Matches in their order, then the target."""
    at, negated = 0, False
    while at < len(words):
        word = words[at]
        value = words[at + 1] if at + 1 < len(words) else ""
        at += 1 if word == "!" or word in _ALONE or value in {"", "!"} or value.startswith("-") else 2
        if word == "!":
            negated = True
            continue
        if word in {"-j", "-g"}:
            yield from _target(word, value)
            return
        made = _match(word, value)
        if made is not None:
            yield made if not negated or made is _UNKNOWN else {"match": made["match"] | {"op": "!="}}
        if word != "-m":
            negated = False


def _target(word: str, value: str) -> Iterator[dict[str, Any]]:
    if value in {"ACCEPT", "DROP", "RETURN"}:
        yield {value.lower(): None}
    elif value in {"REJECT", "TARPIT"}:
        yield {"reject": None}
    elif value in {"QUEUE", "NFQUEUE"}:
        yield {"queue": None}
    elif value not in _DECIDES_NOTHING:
        yield {"goto" if word == "-g" else "jump": {"target": value}}


_MATCHES: dict[str, Callable[[str], dict[str, Any]]] = {
    "-s": lambda value: _same({"payload": {"protocol": _family(value), "field": "saddr"}}, _network(value)),
    "-d": lambda value: _same({"payload": {"protocol": _family(value), "field": "daddr"}}, _network(value)),
    "-i": lambda value: _same({"meta": {"key": "iifname"}}, f"{value[:-1]}*" if value.endswith("+") else value),
    "-p": lambda value: _same({"meta": {"key": "l4proto"}}, int(value) if value.isdigit() else value),
    "--dport": lambda value: _same(_DPORT, {"set": [*map(_ports, value.split(","))]}),
    "--dports": lambda value: _same(_DPORT, {"set": [*map(_ports, value.split(","))]}),
    "--ctstate": lambda value: _same({"ct": {"key": "state"}}, {"set": value.lower().split(",")}),
    "--state": lambda value: _same({"ct": {"key": "state"}}, {"set": value.lower().split(",")}),
    "--dst-type": lambda value: _same({"fib": {"result": "type", "flags": ["daddr"]}}, value.lower()),
    "--mark": lambda value: _same({"meta": {"key": "mark"}}, int(value.partition("/")[0], 0)),
    "--tcp-flags": lambda _: _same({"&": [{"payload": {"protocol": "tcp", "field": "flags"}}]}, "syn"),
}
_MATCHES_NOTHING = frozenset({
    "-m", "--comment", "--limit", "--limit-burst", "--reject-with", "--icmp-type", "--icmpv6-type",
})  # fmt: skip


def _match(word: str, value: str) -> dict[str, Any] | None:
    """None for an option that matches nothing by itself."""
    if word in _MATCHES:
        return _MATCHES[word](value)
    return _UNKNOWN if word.startswith("-") and word not in _MATCHES_NOTHING else None


def _same(left: dict[str, Any], right: object) -> dict[str, Any]:
    return {"match": {"op": "==", "left": left, "right": right}}


def _family(address: str) -> str:
    return "ip6" if ":" in address else "ip"


def _network(value: str) -> object:
    address, _, length = value.partition("/")
    return {"prefix": {"addr": address, "len": int(length)}} if length.isdigit() else address


def _ports(text: str) -> object:
    low, colon, high = text.partition(":")
    return {"range": [int(low), int(high)]} if colon else int(low)
