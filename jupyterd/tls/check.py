"""Checks a certificate and its key as they are on disk, and keeps the last good copy of what is served.

Standard library only. The bytes that were read are those that are checked and copied: no path is opened twice.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from jupyterd.linux import kept
from jupyterd.linux.files import read_private
from jupyterd.tls import access, chain, files, handshake
from jupyterd.tls.files import PemFile, quoted
from jupyterd.tls.key_pair import Pair, PairProblem, Validity

__all__ = ["Pair", "PairProblem", "check"]

_MISMATCH = frozenset({"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"})
"""The last one: there is a certificate, but none for a key of this type."""
_COPY_OF = "jupyterd's copy of "
_TOO_WEAK = frozenset({"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"})


def check(certificate: Path, key: Path | None, now: float) -> Pair | PairProblem:
    """Read both files, or one that holds both (`key` None), and prove in a handshake in memory that they serve.

    An expired pair is no PairProblem: Pair.validity says so, and it is served with a health item. `now` is Unix time.
    """
    file = files.read(certificate)
    if isinstance(file, PairProblem):
        return file
    key_file = file if key is None else files.read(key)
    if isinstance(key_file, PairProblem):
        return key_file
    problem = _contents(file, key_file, combined=key is None)
    if problem is not None:
        return problem
    for each in (key_file, file):
        if each.keys:
            problem = access.refused(each.path, each.status)
            if problem is not None:
                return problem
    return _proved(file, key_file, now)


def write_copy(path: Path, checked: Pair, origin: str) -> None:
    """Replace the copy at `path` in one step, unless it is the same already. OSError when it cannot be written.

    The server reads this copy alone, so a broken file in place of the original stays out, over restarts too. It is one
    combined PEM, 0600, whose first line names its `origin`.
    """
    data = f"{_COPY_OF}{origin}\n".encode() + checked.pem
    try:
        same = read_private(path) == data
    except (PermissionError, ValueError):
        same = False
    if not same:
        kept.directory(path.parent)
        kept.write(path, data)


def read_copy(path: Path, origin: str, now: float) -> Pair | None:
    """The pair in the copy at `path`; None unless it is a copy of `origin` and can be served."""
    try:
        data = read_private(path) or b""
    except (OSError, ValueError):
        return None
    if data.partition(b"\n")[0] != f"{_COPY_OF}{origin}".encode():
        return None
    found = check(path, None, now)
    return found if isinstance(found, Pair) else None


def _proved(file: PemFile, key_file: PemFile, now: float) -> Pair | PairProblem:
    certificates, key = file.certificates, key_file.keys[0]
    try:
        server = handshake.server_context([each.text for each in certificates], key.text)
        leaf = handshake.served(server, certificates[0].text)
    except ssl.SSLError as error:
        return _failed(error, file, key_file)
    validity: Validity = "expired" if now > leaf.not_after else "not yet valid" if now < leaf.not_before else "valid"
    return Pair(
        certificate_file=file.path,
        key_file=key_file.path,
        sha256=leaf.sha256,
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        names=leaf.names,
        self_signed=leaf.issuer == leaf.subject,
        validity=validity,
        remarks=chain.remarks(file.path, leaf, [each.text for each in certificates[1:]], now),
        pem="".join([key.text, *(each.text for each in certificates)]).encode(),
    )


def _contents(file: PemFile, key_file: PemFile, *, combined: bool) -> PairProblem | None:
    """Whether each file holds what it should, by the names of the PEM blocks."""
    path, key_path = file.path, key_file.path
    if not file.certificates:
        found = ", ".join(sorted({each.label for each in file.blocks}))
        return PairProblem(
            f"{path} holds no certificate but: {found}",
            "set tls.certificate to the file with -----BEGIN CERTIFICATE-----, as fullchain.pem of certbot",
        )
    keys = key_file.keys
    if not keys and combined:
        return PairProblem(f"{path} holds no private key, and no key file is set", _key_advice(path))
    if not keys:
        found = ", ".join(sorted({each.label for each in key_file.blocks}))
        return PairProblem(f"{key_path} holds no private key but: {found}", _key_advice(path))
    if keys[0].label == "OPENSSH PRIVATE KEY":
        return PairProblem(
            f"the key in {key_path} is an SSH key, which TLS cannot use",
            f"set tls.key to the key that the certificate in {path} was made with",
        )
    if keys[0].is_encrypted:
        target = quoted(key_path.with_name(f"{key_path.name}.plain"))
        return PairProblem(
            f"the key in {key_path} is encrypted, and nobody is there to type its passphrase when the machine starts",
            f"(umask 077; openssl pkey -in {quoted(key_path)} -out {target}), then set tls.key to the new file",
        )
    return None


def _key_advice(certificate: Path) -> str:
    beside = certificate.with_name("privkey.pem")
    return f"set tls.key to the file with -----BEGIN PRIVATE KEY-----, as {beside}"


def _failed(error: ssl.SSLError, file: PemFile, key_file: PemFile) -> PairProblem:
    path, key_path = file.path, key_file.path
    if isinstance(error, ssl.SSLCertVerificationError):
        what = f"the certificate in {path} cannot serve: {error.verify_message}"
        return PairProblem(what, f"openssl x509 -in {quoted(path)} -noout -purpose")
    if error.reason in _MISMATCH:
        position = _position_of_own(file, key_file)
        if position:
            return PairProblem(
                f"{path}: the server's own certificate is number {position} in the file, and must be the first",
                f"write a new file: first the server's own certificate, then the one that signed it, and so on"
                f" (openssl storeutl -noout -text -certs {quoted(path)} | grep -E 'Subject:|Issuer:' shows the order)",
            )
        return PairProblem(
            f"the key in {key_path} does not belong to the certificate in {path}",
            f"these two must print the same: openssl x509 -noout -pubkey -in {quoted(path)}"
            f"; openssl pkey -pubout -in {quoted(key_path)}",
        )
    reason = (error.reason or str(error)).replace("_", " ").lower()
    if error.reason in _TOO_WEAK:
        return PairProblem(
            f"the certificate in {path} is too weak for today's TLS ({reason})",
            "have a new one made, with an EC P-256 or RSA 2048 key and SHA-256",
        )
    return PairProblem(
        f"{path} and its key in {key_path} are damaged ({reason})",
        f"openssl x509 -noout -text -in {quoted(path)}; openssl pkey -noout -check -in {quoted(key_path)}",
    )


def _position_of_own(file: PemFile, key_file: PemFile) -> int:
    """The position (from 1) of the certificate that the key belongs to; 0 if there is none."""
    for position, each in enumerate(file.certificates, start=1):
        try:
            handshake.server_context([each.text], key_file.keys[0].text)
        except ssl.SSLError:
            continue
        return position
    return 0
