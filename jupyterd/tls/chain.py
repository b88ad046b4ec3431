"""Remarks about a pair that can be served and that some clients will refuse."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jupyterd.tls.files import quoted
from jupyterd.tls.handshake import Leaf
from jupyterd.tls.key_pair import PairProblem


def remarks(path: Path, leaf: Leaf, above: Sequence[str], now: float) -> tuple[PairProblem, ...]:
    """Remarks about the names, and about the certificates (PEM) that follow the server's own in the file."""
    return (*_names(path, leaf), *_missing(path, leaf, above), *_order(path, leaf, above, now))


def ordered(leaf: Leaf, others: Sequence[str]) -> tuple[list[str], int]:
    """(the certificates above the server's own, from the one that signed it upwards and without the root, which
    clients have or do not trust; how many of `others` have no place in it).
    """
    by_subject = {facts["subject"]: (text, facts["issuer"]) for text in others if (facts := authority(text))}
    above, wanted, roots = [], leaf.issuer, 0
    while wanted in by_subject:
        text, issuer = by_subject.pop(wanted)
        if issuer == wanted:
            roots = 1
            break
        above.append(text)
        wanted = issuer
    return above, len(others) - len(above) - roots


def _names(path: Path, leaf: Leaf) -> Iterator[PairProblem]:
    if not leaf.names:
        yield PairProblem(
            f"the certificate in {path} names no host (no subjectAltName), so every browser warns about it",
            "have a new one made with the server's names in it",
        )


def _missing(path: Path, leaf: Leaf, above: Sequence[str]) -> Iterator[PairProblem]:
    """Only where fullchain.pem lies beside it: a private CA may sign without an intermediate certificate."""
    full = path.with_name("fullchain.pem")
    if not above and leaf.issuer != leaf.subject and path.name != full.name and full.exists():
        yield PairProblem(
            f"{path} lacks the certificates between the server's own and the root, and some clients refuse it so",
            f"set tls.certificate to {quoted(full)}",
        )


def _order(path: Path, leaf: Leaf, above: Sequence[str], now: float) -> Iterator[PairProblem]:
    wanted = leaf.issuer
    for position, text in enumerate(above, start=2):
        above_it = authority(text)
        if above_it is None:
            yield PairProblem(
                f"certificate number {position} in {path} is no authority's, so it has no place in the chain",
                f"take it out of {quoted(path)}",
            )
            return
        if above_it["subject"] != wanted:
            yield PairProblem(
                f"certificate number {position} in {path} did not sign the one before it, and some clients stop there",
                "order them: the server's own first, then the one that signed it, and so on",
            )
            return
        if ssl.cert_time_to_seconds(above_it["notAfter"]) < now:
            yield PairProblem(
                f"certificate number {position} in {path} has expired, and some clients refuse the whole chain",
                "get the present chain from who signed the certificate",
            )
        wanted = above_it["issuer"]


def authority(text: str) -> dict[str, Any] | None:
    """A CA's certificate as SSLSocket.getpeercert() has it; None for any other certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=text)
    except ssl.SSLError:
        return None
    return next(iter(context.get_ca_certs()), None)
