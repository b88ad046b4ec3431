"""The certificate that is served: how long it is valid, whether it names what people type, chain, and trust."""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from jupyterd.cli.doctor.facts import Subject
from jupyterd.cli.doctor.verdict import Verdict
from jupyterd.linux import local_time
from jupyterd.settings.address_rules import is_public
from jupyterd.text import expiry
from jupyterd.tls import check, files, handshake
from jupyterd.tls.check import Pair

SUBJECT = "certificate"
_NEW = "jupyterd cert new"


def examine(what: Subject) -> Iterator[Verdict]:
    """Of the copy that the server reads; what the originals lack is among the settings' problems."""
    if what.base.scheme != "https":
        yield from _plain(what)
        return
    found = check.check(what.paths.served, None, time.time())
    if not isinstance(found, Pair):
        if found.missing:
            yield Verdict(SUBJECT, "good", "there is none yet: the first start makes one, or takes yours")
        else:
            yield Verdict(SUBJECT, "wrong", found.text, (found.advice,))
        return
    yield from _lifetime(found, time.time())
    urls = () if what.running is None else what.running.snapshot.urls
    yield from unnamed(found.names, tuple(urlsplit(url).hostname or "" for url in urls))
    for remark in found.remarks:
        yield Verdict(SUBJECT, "notice", remark.text, (remark.advice,))
    yield from _trust(found)


def _plain(what: Subject) -> Iterator[Verdict]:
    public = [host for host in what.base.hosts if is_public(host)]
    if public:
        text = f"passwords cross the network in the clear: {', '.join(public)} is served without TLS"
        yield Verdict(SUBJECT, "notice", text, ("set [tls] enabled = true, unless your own proxy adds TLS",))
    else:
        yield Verdict(SUBJECT, "good", "none is needed: the server listens on this machine only, without TLS")


def _lifetime(pair: Pair, now: float) -> Iterator[Verdict]:
    left = pair.not_after - now
    if pair.validity == "not yet valid":
        text = f"is not valid before {local_time.moment(pair.not_before)}: is the clock of this machine right?"
        yield Verdict(SUBJECT, "wrong", text, ("timedatectl",))
    elif pair.validity == "expired":
        text = expiry(left, local_time.day(pair.not_after))
        yield Verdict(SUBJECT, "wrong", text, ("jupyterd cert show",))
    elif left < (pair.not_after - pair.not_before) / 3:
        text = f"{expiry(left, local_time.day(pair.not_after))}; two thirds of its time are over"
        yield Verdict(SUBJECT, "notice", text, ("jupyterd cert show",))


def unnamed(names: tuple[str, ...], typed: tuple[str, ...]) -> Iterator[Verdict]:
    """For the host names and addresses that people type and that the certificate does not have."""
    missing = [each for each in dict.fromkeys(typed) if each and not any(_names(name, each) for name in names)]
    if missing:
        text = f"does not name {', '.join(missing)}: browsers warn about {'it' if len(missing) == 1 else 'them'}"
        yield Verdict(SUBJECT, "notice", text, (_NEW,))


def _names(pattern: str, host: str) -> bool:
    """A wildcard stands for one label (RFC 6125, 6.4.3)."""
    if pattern.startswith("*."):
        return host.partition(".")[2].lower() == pattern[2:].lower()
    return pattern.lower() == host.lower()


def _trust(pair: Pair) -> Iterator[Verdict]:
    until = expiry(pair.not_after - time.time(), local_time.day(pair.not_after))
    if pair.self_signed:
        yield Verdict(SUBJECT, "good", f"self-signed (browsers warn once); {until}")
        return
    blocks = files.blocks(pair.pem.decode())
    chain = [each.text for each in blocks if not each.label.endswith("PRIVATE KEY")]
    key = next(each.text for each in blocks if each.label.endswith("PRIVATE KEY"))
    trust = "trusts" if handshake.is_trusted_here(chain, key) else "does not trust"
    yield Verdict(SUBJECT, "good", f"{until}; this machine {trust} its issuer")
