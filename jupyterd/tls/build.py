"""Builds certificates and keys, as PEM. Imported only when one is made: importing cryptography takes 25 ms.

It neither reads nor writes files.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_BACKDATED = dt.timedelta(days=1)
"""For clients whose clock is behind."""
_COMMON_NAME_MAX = 64


def pem(subjects: Sequence[str], now: float, days: int) -> bytes:
    """Key and self-signed certificate for these host names and literal addresses, the first one its common name."""
    key = _key()
    return _combined(key, _server(_who(subjects[0]), subjects, key, now, days).issuer_name(_who(subjects[0])), key)


def signed(subjects: Sequence[str], authority: bytes, now: float, days: int) -> bytes:
    """Key and certificate signed by the authority in this combined PEM; it expires with the authority at the latest."""
    issuer, signer = _opened(authority)
    key = _key()
    days = min(days, (issuer.not_valid_after_utc - _begin(now)).days)
    built = _server(_who(subjects[0]), subjects, key, now, days).issuer_name(issuer.subject)
    known = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    return _combined(key, built.add_extension(known, critical=False), signer)


def authority(name: str, permitted: Sequence[str], now: float, days: int) -> bytes:
    """Key and certificate of an authority that can sign for TLS servers at these names (those under them too) and
    in these networks ("192.168.0.0/16"), and for nothing else.
    """
    key = _key()
    who = _who(name)
    built = (
        _begun(who, key, now, days)
        .issuer_name(who)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.NameConstraints([_permitted(each) for each in permitted], None), critical=True)
    )
    return _combined(key, built, key)


def allowed(authority: bytes, subjects: Sequence[str]) -> tuple[str, ...]:
    """The subjects that the authority in this combined PEM may sign for, by its name constraints."""
    issuer, _ = _opened(authority)
    constraints = issuer.extensions.get_extension_for_class(x509.NameConstraints).value
    permitted = [each.value for each in constraints.permitted_subtrees or ()]
    return tuple(subject for subject in subjects if any(_within(_subject(subject).value, each) for each in permitted))


def _within(subject: object, permitted: object) -> bool:
    match subject, permitted:
        case (ipaddress.IPv4Address() | ipaddress.IPv6Address(), ipaddress.IPv4Network() | ipaddress.IPv6Network()):
            return subject in permitted
        case str(), str():
            return f".{subject}".endswith(f".{permitted}")
        case _:
            return False


def _permitted(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_network(text))
    except ValueError:
        return x509.DNSName(text)


def _opened(authority: bytes) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = serialization.load_pem_private_key(authority, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is not one that jupyterd has made")
    return x509.load_pem_x509_certificate(authority), key


def _key() -> ec.EllipticCurvePrivateKey:
    # EC P-256: every browser takes it, and it signs in a tenth of the time of RSA 2048
    return ec.generate_private_key(ec.SECP256R1())


def _who(common: str) -> x509.Name:
    name = common[:_COMMON_NAME_MAX]
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "jupyterd"), x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )


def _begin(now: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(now, dt.UTC).replace(microsecond=0) - _BACKDATED


def _begun(who: x509.Name, key: ec.EllipticCurvePrivateKey, now: float, days: int) -> x509.CertificateBuilder:
    begin = _begin(now)
    return (
        x509.CertificateBuilder()
        .subject_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        # a certificate is valid through its last second (RFC 5280, 4.1.2.5)
        .not_valid_after(begin + dt.timedelta(days=days, seconds=-1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _server(
    who: x509.Name, subjects: Sequence[str], key: ec.EllipticCurvePrivateKey, now: float, days: int
) -> x509.CertificateBuilder:
    return (
        _begun(who, key, now, days)
        .add_extension(x509.SubjectAlternativeName([_subject(each) for each in subjects]), critical=False)
        # no authority: who trusts this one trusts this server, not whatever its key might sign
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )


def _combined(
    key: ec.EllipticCurvePrivateKey, unsigned: x509.CertificateBuilder, signer: ec.EllipticCurvePrivateKey
) -> bytes:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + unsigned.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,  # an EC key signs; nothing is encrypted to it
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _subject(text: str) -> x509.DNSName | x509.IPAddress:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
