"""Reload: the new certificate is served, open connections live on, a broken pair stays out."""

from __future__ import annotations

import hashlib
import http.client
import ssl


def _served_sha256(served) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", served.port)))).hexdigest()


def _get(connection: http.client.HTTPConnection) -> int:
    connection.request("GET", "/api")
    answer = connection.getresponse()
    answer.read()
    return answer.status


def test_a_renewed_certificate_is_served_and_no_connection_is_dropped(serve, make_pair):
    served = serve()
    open_one = served.browser().connect()
    assert _get(open_one) == 200
    assert _served_sha256(served) == served.pair.sha256
    renewed = served.store_pair(*make_pair())
    assert served.reload().problem is None
    assert _served_sha256(served) == renewed.sha256
    assert _get(open_one) == 200
    open_one.close()


def test_a_pair_that_does_not_match_stays_out(serve, make_pair):
    served = serve()
    good = served.pair.sha256
    certificate, _, sha256 = make_pair()
    _, key, _ = make_pair()
    served.store_pair(certificate, key, sha256)
    problem = served.reload().problem
    assert problem is not None
    assert "key.pem does not belong to the certificate in" in problem
    assert _served_sha256(served) == good
    served.store_pair(*make_pair())
    assert served.reload().problem is None


def test_what_is_no_certificate_stays_out(serve):
    served = serve()
    good = served.pair.sha256
    served.store_pair(b"", b"", "x")
    assert "cert.pem" in served.reload().problem
    assert _served_sha256(served) == good


def test_a_pair_of_another_kind_replaces_the_old_one_wholly(serve, make_pair):
    """OpenSSL keeps one certificate for each kind of key in a context."""
    served = serve()
    renewed = served.store_pair(*make_pair(kind="rsa"))
    assert served.reload().problem is None
    assert _served_sha256(served) == renewed.sha256


def test_an_encrypted_key_is_refused_and_asks_nobody(prepare, make_pair):
    served = prepare()
    served.store_pair(*make_pair(passphrase=b"x"))
    served.start(wait=False)
    assert "encrypted" in served.failed()
    assert served.process.wait(10) == 1


def test_login_settings_change_live(serve):
    served = serve(login={"token": "one-lasting-token"})
    browser = served.browser()
    assert browser.get("/api/contents", Authorization="token one-lasting-token").status == 200
    assert served.reload(login={"token": "another-token"}).problem is None
    for token, status in (("one-lasting-token", 403), ("another-token", 200)):
        assert served.browser().get("/api/contents", Authorization=f"token {token}").status == status
