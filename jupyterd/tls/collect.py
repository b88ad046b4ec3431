"""Makes one pair of what a person got from a CA: certificate, key and chain, in one or more files, in any order.

The bytes that were read and checked are those of the pair: no path is opened twice.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from jupyterd.linux.accounts import master_of
from jupyterd.text import days
from jupyterd.tls import chain, files, handshake
from jupyterd.tls.files import Block, PemFile, quoted
from jupyterd.tls.handshake import Leaf
from jupyterd.tls.key_pair import PairProblem


@dataclass(frozen=True, slots=True)
class Collected:
    """A pair that can be served. `remarks`: why some clients may refuse it."""

    leaf: Leaf
    pem: bytes = field(repr=False)
    """Key, the server's own certificate, then those above it in order, without the root."""
    above: int
    """How many certificates stand above the server's own."""
    remarks: tuple[PairProblem, ...]


Known = Mapping[Path, PemFile | PairProblem]
"""Files that have been read already, and what was wrong with those that could not be."""


def read_by_root(paths: Sequence[Path]) -> Known:
    """Those of the files that nobody but root can change, which the account may not be able to read. Root opens no
    other: a link in the account's place would show it a key of somebody else's.
    """
    found: dict[Path, PemFile | PairProblem] = {}
    for path in paths:
        try:
            who = master_of(path)
        except OSError:
            continue
        if who is None:
            found[path] = files.read(path)
    return found


def collect(paths: Sequence[Path], now: float, known: Known = MappingProxyType({})) -> Collected | PairProblem:
    """The pair in these files; a PairProblem if no browser would accept it. `now` is Unix time."""
    read: list[PemFile] = []
    for path in paths:
        file = known.get(path) or files.read(path)
        if isinstance(file, PairProblem):
            return file
        read.append(file)
    remarks = [_open_to_others(file) for file in read if file.keys]
    key = _the_key(read)
    if isinstance(key, PairProblem):
        return key
    texts = list(dict.fromkeys(each.text for file in read for each in file.certificates))
    if not texts:
        return PairProblem(f"there is no certificate in {_list(paths)}", "give the certificate's file too")
    own = next((text for text in texts if _belongs(text, key.text)), None)
    if own is None:
        return PairProblem(
            f"the key does not belong to any certificate in {_list(paths)}",
            f"openssl pkey -pubout -in {quoted(_source(read, key))} shows what it belongs to;"
            " openssl x509 -noout -pubkey -in FILE must show the same",
        )
    return _proved(own, key.text, [text for text in texts if text != own], [each for each in remarks if each], now)


def _proved(
    own: str, key: str, others: Sequence[str], remarks: list[PairProblem], now: float
) -> Collected | PairProblem:
    try:
        leaf = handshake.served(handshake.server_context([own], key), own)
    except ssl.SSLCertVerificationError as error:
        return PairProblem(
            f"the certificate cannot serve: {error.verify_message}", "openssl x509 -noout -purpose -in FILE"
        )
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).replace("_", " ").lower()
        return PairProblem(f"the certificate and its key are damaged or too weak ({reason})", "have a new one made")
    if now > leaf.not_after:
        return PairProblem(
            f"the certificate expired {days(now - leaf.not_after)} ago", "get the renewed one: what is served now stays"
        )
    if now < leaf.not_before:
        return PairProblem("the certificate is not valid yet", "is this machine's clock right? timedatectl")
    if not leaf.names:
        remarks.append(
            PairProblem(
                "the certificate names no host (no subjectAltName), so every browser warns about it",
                "have a new one made with the server's names in it",
            )
        )
    above, strangers = chain.ordered(leaf, others)
    if strangers:
        remarks.append(
            PairProblem(f"{strangers} certificates of these files are not in its chain, and are left out", "nothing")
        )
    if not above and leaf.issuer != leaf.subject and not handshake.is_trusted_here([own], key):
        remarks.append(
            PairProblem(
                "there is no certificate of who signed it, and not every client finds that one by itself",
                "install it with its chain, if it has one (fullchain.pem of certbot, a bundle or intermediate file)",
            )
        )
    return Collected(leaf, "".join([key, own, *above]).encode(), len(above), tuple(remarks))


def _the_key(read: Sequence[PemFile]) -> Block | PairProblem:
    found = list(dict.fromkeys(each for file in read for each in file.keys))
    where = _list([file.path for file in read])
    if not found:
        return PairProblem(f"there is no private key in {where}", "give the key's file too (privkey.pem, server.key)")
    if len(found) > 1:
        return PairProblem(f"there are {len(found)} private keys in {where}", "give the one that belongs to it only")
    key = found[0]
    path = _source(read, key)
    if key.label == "OPENSSH PRIVATE KEY":
        return PairProblem(f"the key in {path} is an SSH key, which TLS cannot use", "give the certificate's own key")
    if key.is_encrypted:
        plain = quoted(path.with_name(f"{path.name}.plain"))
        return PairProblem(
            f"the key in {path} is encrypted, and nobody is there to type its passphrase when the machine starts",
            f"(umask 077; openssl pkey -in {quoted(path)} -out {plain}), then give {plain}",
        )
    return key


def _open_to_others(file: PemFile) -> PairProblem | None:
    """A remark, as the file is a copy in a person's directory; the installed pair is 0600 anyway."""
    if not file.status.st_mode & 0o007:
        return None
    return PairProblem(f"every local account may read the key in {file.path}", f"chmod 600 {quoted(file.path)}")


def _belongs(certificate: str, key: str) -> bool:
    try:
        handshake.server_context([certificate], key)
    except ssl.SSLError:
        return False
    return True


def _source(read: Sequence[PemFile], key: Block) -> Path:
    return next(file.path for file in read if key in file.blocks)


def _list(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))
