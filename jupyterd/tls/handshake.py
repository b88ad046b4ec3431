"""A TLS handshake with a key pair, in memory: it proves that the pair can be served, and shows its certificate."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jupyterd.linux.net import is_address

_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME (X509_VERIFY_PARAM_set_flags(3)), which the ssl module does not name: an expired
certificate must still tell its dates.
"""
_ROUNDS = 10
"""TLS 1.3 needs two."""
Name = tuple[tuple[tuple[str, str], ...], ...]


@dataclass(frozen=True, slots=True)
class Leaf:
    """The server's own certificate, as a client sees it. Times are Unix seconds."""

    sha256: str
    not_before: float
    not_after: float
    names: tuple[str, ...]
    subject: Name
    issuer: Name


def server_context(certificates: Sequence[str], key: str) -> ssl.SSLContext:
    """A context that serves these PEM texts, own certificate first; SSLError when they do not fit together.

    The ssl module reads pairs from paths only: this one is in memory, so what was checked is what is used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    fd = os.memfd_create("pair")
    with os.fdopen(fd, "wb") as file:
        file.write("".join([key, *certificates]).encode())
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{fd}", password="")
    return context


def served(server_side: ssl.SSLContext, own: str) -> Leaf:
    """The certificate that a client sees which trusts exactly `own` (PEM). SSLError if it refuses that, too."""
    client_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_side.load_verify_locations(cadata=own)
    client_side.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    return _leaf(_shaken(server_side, client_side))


def is_trusted_here(certificates: Sequence[str], key: str) -> bool:
    """Whether this machine's own list of authorities trusts a server with these, whatever its name."""
    try:
        _shaken(server_context(certificates, key), ssl.create_default_context())
    except ssl.SSLError:
        return False
    return True


def _shaken(server_side: ssl.SSLContext, client_side: ssl.SSLContext) -> ssl.SSLObject:
    client_side.check_hostname = False
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(to_client, to_server)
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(_ROUNDS):
        if _step(client) and _step(server):
            return client
        _step(server)
    raise ssl.SSLError(f"no handshake in {_ROUNDS} rounds")


def names(certificate: dict[str, Any]) -> tuple[str, ...]:
    """Host names and addresses of a certificate as getpeercert() gives it, addresses in their usual form."""
    return tuple(
        str(ipaddress.ip_address(value)) if kind == "IP Address" else value.lower()
        for kind, value in certificate.get("subjectAltName", ())
        if kind == "DNS" or (kind == "IP Address" and is_address(value))
    )


def _step(side: ssl.SSLObject) -> bool:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _leaf(client: ssl.SSLObject) -> Leaf:
    told: dict[str, Any] = client.getpeercert() or {}
    der = client.getpeercert(binary_form=True) or b""
    return Leaf(
        sha256=hashlib.sha256(der).hexdigest(),
        not_before=float(ssl.cert_time_to_seconds(told["notBefore"])),
        not_after=float(ssl.cert_time_to_seconds(told["notAfter"])),
        names=names(told),
        subject=told["subject"],
        issuer=told["issuer"],
    )
