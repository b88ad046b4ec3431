"""The machine's own certificate authority: devices trust it once, and it signs every new certificate of the server.

Its name constraints (RFC 5280, 4.2.1.10) limit it to this server's names, because notebook code, which has the
account's rights, could read its key.
"""

from __future__ import annotations

import hashlib
import ipaddress
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jupyterd.linux import kept
from jupyterd.linux.net import is_address
from jupyterd.tls import access, chain, check, files, handshake, make
from jupyterd.tls.key_pair import Pair, PairProblem

AUTHORITY_DAYS = 3652
LEAF_DAYS = 180
"""No warning comes with a new one, so it may be short; a machine that was off for two months still has a good one."""
PRIVATE_NETWORKS = (
    "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
    "100.64.0.0/10",  # carrier-grade translation, and Tailscale
    "::1/128", "fc00::/7", "fe80::/10",
)  # fmt: skip
"""Addresses that nobody else's server is reached by from outside: a new lease needs no new trust."""
PRIVATE_SUFFIXES = ("localhost", "local", "lan", "internal", "home.arpa")
"""Of names inside a network (RFC 6762, RFC 8375, ICANN's "internal", and what home routers use)."""


@dataclass(frozen=True, slots=True)
class Authority:
    """The authority on disk. Times are Unix seconds."""

    certificate: str
    """PEM, for the devices that are to trust it."""
    sha256: str
    not_after: float
    name: str
    pem: bytes = field(repr=False)
    """Key and certificate."""


@dataclass(frozen=True, slots=True)
class Ensured:
    """`left_out`: names that the authority may not sign for, and that the certificate therefore lacks."""

    made: bool
    left_out: tuple[str, ...]


def read(path: Path) -> Authority | PairProblem:
    """The authority at `path`; a PairProblem if it is damaged, or if others can read its key."""
    file = files.read(path)
    if isinstance(file, PairProblem):
        return file
    damaged = PairProblem(f"{path} is not an authority that jupyterd has made", "jupyterd cert new --new-authority")
    certificates = [each.text for each in file.blocks if each.label == "CERTIFICATE"]
    keys = [each.text for each in file.blocks if each.label == "PRIVATE KEY"]
    facts = chain.authority(certificates[0]) if certificates else None
    if facts is None or not keys:
        return damaged
    try:
        handshake.server_context(certificates[:1], keys[0])
    except ssl.SSLError:
        return damaged
    return access.refused(path, file.status) or Authority(
        certificate=certificates[0],
        sha256=hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificates[0])).hexdigest(),
        not_after=float(ssl.cert_time_to_seconds(facts["notAfter"])),
        name=next((value for part in facts["subject"] for kind, value in part if kind == "commonName"), ""),
        pem=(keys[0] + certificates[0]).encode(),
    )


def found(path: Path, where: str, names: Sequence[str], addresses: Sequence[str], now: float) -> None:
    """Make a new authority at `path`; `where` is the machine's name in a device's list of authorities."""
    subjects = make.subjects([*names, *addresses])
    hosts = [each.removeprefix("*.") for each in subjects if not is_address(each)]
    literal = [each for each in subjects if is_address(each)]
    networks = [ipaddress.ip_network(each) for each in PRIVATE_NETWORKS]
    public = [each for each in literal if not any(ipaddress.ip_address(each) in network for network in networks)]
    from jupyterd.tls import build  # noqa: PLC0415 - 25 ms of cryptography that most starts do not need

    day = time.strftime("%Y-%m-%d", time.gmtime(now))
    permitted = dict.fromkeys([*hosts, *PRIVATE_SUFFIXES, *PRIVATE_NETWORKS, *public])
    kept.directory(path.parent)
    kept.write(path, build.authority(f"jupyterd on {where}, {day}"[:64], [*permitted], now, AUTHORITY_DAYS))


def ensure(leaf: Path, signer: Authority, names: Sequence[str], addresses: Sequence[str], now: float) -> Ensured:
    """Make sure that `leaf` is a certificate of that authority with every name and address and a third of its life.

    Unlike a self-signed one it is made again when an address changes, which devices that trust the authority do
    not notice.
    """
    wanted = make.subjects([*names, *addresses])
    present = check.check(leaf, None, now)
    good = isinstance(present, Pair) and make.has_life_left(present, now) and _signed_by(present, signer)
    if good and isinstance(present, Pair) and set(wanted) <= set(present.names):
        return Ensured(made=False, left_out=())
    from jupyterd.tls import build  # noqa: PLC0415 - 25 ms of cryptography that most starts do not need

    subjects = build.allowed(signer.pem, wanted)
    left_out = tuple(each for each in wanted if each not in subjects)
    if good and isinstance(present, Pair) and set(subjects) <= set(present.names):
        return Ensured(made=False, left_out=left_out)
    kept.directory(leaf.parent)
    kept.write(leaf, build.signed(subjects, signer.pem, now, LEAF_DAYS))
    return Ensured(made=True, left_out=left_out)


def has_signed(file: str, signer: Authority, now: float) -> bool:
    """Whether a client that trusts only `signer` accepts the pair in `file`."""
    found = check.check(Path(file), None, now)
    return isinstance(found, Pair) and _signed_by(found, signer)


def _signed_by(present: Pair, signer: Authority) -> bool:
    """Whether a client that trusts only the authority accepts the pair."""
    text = present.pem.decode()
    blocks = files.blocks(text)
    key = next(each.text for each in blocks if each.is_key)
    certificates = [each.text for each in blocks if not each.is_key]
    try:
        handshake.served(handshake.server_context(certificates, key), signer.certificate)
    except ssl.SSLError:
        return False
    return True
