"""The bytes of a self-signed certificate and its key. Imported only to make one: cryptography costs 25 ms at start.

It knows neither files nor why. Neighbour: make.py.
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
    """Key and certificate for these host names and literal addresses, the first one its common name."""
    # EC P-256: every browser takes it, and it signs in a tenth of the time of RSA 2048
    key = ec.generate_private_key(ec.SECP256R1())
    common = subjects[0][:_COMMON_NAME_MAX]
    who = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "jupyterd"), x509.NameAttribute(NameOID.COMMON_NAME, common)]
    )
    begin = dt.datetime.fromtimestamp(now, dt.UTC).replace(microsecond=0) - _BACKDATED
    built = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        # a certificate is valid through its last second (RFC 5280, 4.1.2.5)
        .not_valid_after(begin + dt.timedelta(days=days, seconds=-1))
        .add_extension(x509.SubjectAlternativeName([_subject(each) for each in subjects]), critical=False)
        # no authority: who trusts this one trusts this server, not whatever its key might sign
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_USAGE, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + built.public_bytes(serialization.Encoding.PEM)


_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,  # an EC key signs; nothing is encrypted to it
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def _subject(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
