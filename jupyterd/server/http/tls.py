"""The server's side of TLS: one context for all connections, and another one when the pair was renewed.

A dictionary of options, Jupyter's way, reads both files for each connection (4.1 ms instead of 1.3 ms a handshake)
and lets every handshake hang while the files do not match.
"""

from __future__ import annotations

import ssl


def context(certificate: str, key: str) -> ssl.SSLContext:
    """A context that serves this pair; ValueError is one sentence that names the file.

    A renewal makes a new context rather than loading the pair into the old one: OpenSSL keeps one certificate for
    each type of key, and would go on serving the old one when the type changes (SSL_CTX_use_certificate(3)).
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    try:
        made.load_cert_chain(certificate, key, password=_refuse)
    except ssl.SSLError as error:
        raise ValueError(_sentence(error, certificate, key)) from error
    except OSError as error:
        where = certificate if certificate == key else f"{certificate} or {key}"
        raise ValueError(f"{where} cannot be read: {error.strerror or error}") from error
    return made


def _sentence(error: ssl.SSLError, certificate: str, key: str) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"the key in {key} does not belong to the certificate in {certificate}"
    reason = (error.reason or str(error)).replace("_", " ").lower()
    if certificate == key:
        return f"{certificate} does not hold a PEM certificate and its key: {reason}"
    return f"{certificate} and {key} are not a PEM certificate and its key: {reason}"


def _refuse() -> str:
    """Otherwise OpenSSL asks for the pass phrase on the terminal and waits for ever."""
    raise ValueError("the key is encrypted: store it without a pass phrase, readable by the account only")
