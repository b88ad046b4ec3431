"""A look at pairs of every kind: what serves, what does not, and what to type then."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from support.authority import DAY_S, NOW, Made, make

from jupyterd.tls.check import Pair, PairProblem, check

NOW_S = NOW.timestamp()


def write(path: Path, *parts: bytes) -> Path:
    path.write_bytes(b"".join(parts))
    path.chmod(0o600)
    return path


def combined(path: Path, made: Made, *above: Made) -> Path:
    return write(path, made.key_pem(), made.pem, *(each.pem for each in above))


def good(certificate: Path, key: Path | None = None, now: float = NOW_S) -> Pair:
    found = check(certificate, key, now)
    assert isinstance(found, Pair), found
    return found


def bad(certificate: Path, key: Path | None = None) -> PairProblem:
    found = check(certificate, key, NOW_S)
    assert isinstance(found, PairProblem), found
    assert found.advice
    return found


@pytest.fixture
def made() -> Made:
    return make(names=("gpu.example.org", "*.Lab.example", "192.0.2.7", "2001:db8::1"))


def test_facts_of_a_combined_file(tmp_path: Path, made: Made) -> None:
    pair = good(combined(tmp_path / "pair.pem", made))
    assert pair.sha256 == hashlib.sha256(made.der).hexdigest()
    assert pair.names == ("gpu.example.org", "*.lab.example", "192.0.2.7", "2001:db8::1")
    assert (pair.not_before, pair.not_after) == (NOW_S - 10 * DAY_S, NOW_S + 80 * DAY_S)
    assert pair.self_signed
    assert (pair.validity, pair.remarks) == ("valid", ())
    assert pair.certificate.file == str(tmp_path / "pair.pem")
    assert pair.certificate.sha256 == pair.sha256


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        rsa.generate_private_key(public_exponent=65537, key_size=2048),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=["P-384", "RSA", "Ed25519"],
)
def test_every_type_of_key(tmp_path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    assert good(combined(tmp_path / "pair.pem", make(key=key))).validity == "valid"


@pytest.mark.parametrize("order", ["key first", "key last"])
def test_combined_files_in_either_order(tmp_path: Path, made: Made, order: str) -> None:
    parts = (made.key_pem(), made.pem) if order == "key first" else (made.pem, made.key_pem())
    assert good(write(tmp_path / "pair.pem", *parts)).key_file == tmp_path / "pair.pem"


@pytest.mark.parametrize("form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL])
def test_two_files(tmp_path: Path, made: Made, form: serialization.PrivateFormat) -> None:
    certificate, key = write(tmp_path / "c.pem", made.pem), write(tmp_path / "k.pem", made.key_pem(form))
    certificate.chmod(0o644)
    pair = good(certificate, key)
    assert (pair.certificate_file, pair.key_file) == (certificate, key)


def test_text_around_the_blocks_and_windows_lines(tmp_path: Path, made: Made) -> None:
    text = b"\xef\xbb\xbfBag Attributes\n  friendlyName: \xc3\xa9\n" + made.pem + b"\nkey:\n" + made.key_pem()
    assert good(write(tmp_path / "pair.pem", text.replace(b"\n", b"\r\n"))).validity == "valid"


def test_a_chain_of_a_real_authority(tmp_path: Path) -> None:
    root = make("Root", ca=True)
    middle = make("Middle", ca=True, issuer=root)
    leaf = make(issuer=middle)
    pair = good(combined(tmp_path / "pair.pem", leaf, middle, root))
    assert not pair.self_signed
    assert pair.remarks == ()
    assert pair.sha256 == hashlib.sha256(leaf.der).hexdigest()


@pytest.mark.parametrize(("days", "validity"), [((-90, -1), "expired"), ((1, 90), "not yet valid"), ((-1, 1), "valid")])
def test_dates_are_facts_and_no_problem(tmp_path: Path, days: tuple[float, float], validity: str) -> None:
    pair = good(combined(tmp_path / "pair.pem", make(days=days)))
    assert pair.validity == validity
    assert pair.not_after == NOW_S + days[1] * DAY_S


def test_dates_are_judged_by_the_time_that_is_passed_in(tmp_path: Path, made: Made) -> None:
    path = combined(tmp_path / "pair.pem", made)
    assert good(path, now=NOW_S + 81 * DAY_S).validity == "expired"
    assert good(path, now=NOW_S - 11 * DAY_S).validity == "not yet valid"


# --- what does not serve ------------------------------------------------------------------------------------------


def test_missing_names_the_file(tmp_path: Path) -> None:
    problem = bad(tmp_path / "no/where.pem")
    assert problem.text == f"{tmp_path}/no/where.pem does not exist"
    assert problem.advice == f"ls -ld {tmp_path}"
    assert problem.missing


def test_missing_key_names_the_key(tmp_path: Path, made: Made) -> None:
    assert "k.pem does not exist" in bad(write(tmp_path / "c.pem", made.pem), tmp_path / "k.pem").text


def test_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "c.pem").symlink_to(tmp_path / "gone.pem")
    assert "is a link to" in bad(tmp_path / "c.pem").text


def test_directory(tmp_path: Path) -> None:
    assert "is a directory" in bad(tmp_path).text
    assert not bad(tmp_path).missing


def test_device() -> None:
    assert "is a device" in bad(Path("/dev/zero")).text


def test_a_fifo_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "c.pem")
    found: list[PairProblem] = []
    look = threading.Thread(target=lambda: found.append(bad(tmp_path / "c.pem")), daemon=True)
    look.start()
    look.join(5)
    assert [each.text for each in found] == [f"{tmp_path}/c.pem is a FIFO, not a PEM file"]


@pytest.mark.parametrize("data", [b"", b" \n"])
def test_empty(tmp_path: Path, data: bytes) -> None:
    assert bad(write(tmp_path / "c.pem", data)).text.endswith("is empty")


def test_too_large(tmp_path: Path) -> None:
    assert "too large" in bad(write(tmp_path / "c.pem", b"x" * ((1 << 20) + 1))).text


def test_not_utf8(tmp_path: Path) -> None:
    assert "is not text" in bad(write(tmp_path / "c.pem", b"\xff\xfe\x00garbage")).text


def test_der_is_told_how_to_become_pem(tmp_path: Path, made: Made) -> None:
    problem = bad(write(tmp_path / "c.der", made.der))
    assert "binary" in problem.text
    assert "openssl x509 -inform der" in problem.advice


def test_not_pem(tmp_path: Path) -> None:
    assert "no -----BEGIN" in bad(write(tmp_path / "c.pem", b"hello\n")).text


def test_certificate_and_key_swapped(tmp_path: Path, made: Made) -> None:
    certificate, key = write(tmp_path / "c.pem", made.pem), write(tmp_path / "k.pem", made.key_pem())
    assert "holds no certificate but: PRIVATE KEY" in bad(key, certificate).text


def test_a_certificate_as_key(tmp_path: Path, made: Made) -> None:
    certificate = write(tmp_path / "c.pem", made.pem)
    certificate.chmod(0o644)
    assert "holds no private key but: CERTIFICATE" in bad(certificate, certificate).text


def test_no_key_at_all(tmp_path: Path, made: Made) -> None:
    problem = bad(write(tmp_path / "fullchain.pem", made.pem))
    assert "no key file is set" in problem.text
    assert f"{tmp_path}/privkey.pem" in problem.advice


def test_foreign_key(tmp_path: Path, made: Made) -> None:
    key = write(tmp_path / "k.pem", make().key_pem())
    problem = bad(write(tmp_path / "c.pem", made.pem), key)
    assert problem.text == f"the key in {key} does not belong to the certificate in {tmp_path}/c.pem"
    assert "openssl pkey -pubout" in problem.advice


def test_foreign_key_of_another_type(tmp_path: Path, made: Made) -> None:
    other = make(key=rsa.generate_private_key(public_exponent=65537, key_size=2048))
    key = write(tmp_path / "k.pem", other.key_pem())
    assert "does not belong" in bad(write(tmp_path / "c.pem", made.pem), key).text


@pytest.mark.parametrize("form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL])
def test_encrypted_key(tmp_path: Path, made: Made, form: serialization.PrivateFormat) -> None:
    key = write(tmp_path / "k.pem", made.key_pem(form, b"secret"))
    problem = bad(write(tmp_path / "c.pem", made.pem), key)
    assert "passphrase" in problem.text
    assert f"openssl pkey -in {key}" in problem.advice


def test_ssh_key(tmp_path: Path, made: Made) -> None:
    key = write(tmp_path / "k.pem", made.key_pem(serialization.PrivateFormat.OpenSSH))
    assert "SSH key" in bad(write(tmp_path / "c.pem", made.pem), key).text


def test_chain_before_the_servers_own(tmp_path: Path) -> None:
    root = make("Root", ca=True)
    leaf = make(issuer=root)
    problem = bad(write(tmp_path / "pair.pem", leaf.key_pem(), root.pem, leaf.pem))
    assert "is number 2 in the file, and must be the first" in problem.text


def test_a_weak_key(tmp_path: Path) -> None:
    weak = make(key=rsa.generate_private_key(public_exponent=65537, key_size=1024))  # noqa: S505 - what is refused
    assert "too weak" in bad(combined(tmp_path / "pair.pem", weak)).text


def test_a_certificate_for_clients_only(tmp_path: Path) -> None:
    problem = bad(combined(tmp_path / "pair.pem", make(usage=(ExtendedKeyUsageOID.CLIENT_AUTH,))))
    assert "cannot serve" in problem.text
    assert "purpose" in problem.text


def test_damaged_blocks(tmp_path: Path, made: Made) -> None:
    lines = made.pem.splitlines(keepends=True)
    broken = b"".join([lines[0], *lines[3:]])
    assert "damaged" in bad(write(tmp_path / "pair.pem", made.key_pem(), broken)).text


def test_no_message_shows_the_key(tmp_path: Path, made: Made) -> None:
    key = make().key_pem()
    secret = key.splitlines()[1].decode()
    for text in (key, key.replace(b"END", b"EMD"), key[:90]):
        problem = bad(write(tmp_path / "c.pem", made.pem), write(tmp_path / "k.pem", text))
        assert secret not in problem.text + problem.advice


# --- what serves, but --------------------------------------------------------------------------------------------


def remark(pair: Pair) -> str:
    (one,) = pair.remarks
    assert one.advice
    return one.text


def test_no_names(tmp_path: Path) -> None:
    assert "names no host" in remark(good(combined(tmp_path / "pair.pem", make(names=()))))


def test_the_fuller_file_beside_it(tmp_path: Path) -> None:
    leaf = make(issuer=make("Root", ca=True))
    certificate, key = write(tmp_path / "cert.pem", leaf.pem), write(tmp_path / "privkey.pem", leaf.key_pem())
    assert good(certificate, key).remarks == ()  # a private root may sign directly
    write(tmp_path / "fullchain.pem", leaf.pem)
    assert "lacks the certificates between" in remark(good(certificate, key))


def test_chain_out_of_order(tmp_path: Path) -> None:
    root = make("Root", ca=True)
    middle = make("Middle", ca=True, issuer=root)
    leaf = make(issuer=middle)
    assert "number 2" in remark(good(combined(tmp_path / "pair.pem", leaf, root, middle)))


def test_no_authority_in_the_chain(tmp_path: Path, made: Made) -> None:
    leaf = make(issuer=make("Root", ca=True))
    assert "is no authority's" in remark(good(combined(tmp_path / "pair.pem", leaf, made)))


def test_expired_chain(tmp_path: Path) -> None:
    root = make("Root", ca=True, days=(-900, -1))
    assert "number 2" in remark(good(combined(tmp_path / "pair.pem", make(issuer=root), root)))


# --- the lines that we tell people to type ------------------------------------------------------------------------

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="sudo apt install openssl")


def typed(line: str) -> str:
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=30, check=True).stdout


@needs_openssl
def test_der_becomes_pem_as_advised(tmp_path: Path, made: Made) -> None:
    typed(bad(write(tmp_path / "c.der", made.der)).advice.partition("  (")[0])
    assert good(tmp_path / "c.pem", write(tmp_path / "k.pem", made.key_pem())).validity == "valid"


@needs_openssl
def test_an_encrypted_key_opens_as_advised(tmp_path: Path, made: Made) -> None:
    certificate = write(tmp_path / "c.pem", made.pem)
    key = write(tmp_path / "my key.pem", made.key_pem(passphrase=b"secret"))
    line = bad(certificate, key).advice.partition(", then")[0]
    typed(line.replace("openssl pkey", "openssl pkey -passin pass:secret"))
    assert good(certificate, tmp_path / "my key.pem.plain").validity == "valid"


@needs_openssl
def test_keys_compare_as_advised(tmp_path: Path, made: Made) -> None:
    certificate, foreign = write(tmp_path / "c.pem", made.pem), write(tmp_path / "k.pem", make().key_pem())
    first, _, second = bad(certificate, foreign).advice.partition(": ")[2].partition("; ")
    assert typed(first) != typed(second)
    write(foreign, made.key_pem())
    assert typed(first) == typed(second)


@needs_openssl
def test_the_order_shows_as_advised(tmp_path: Path) -> None:
    root = make("Root", ca=True)
    leaf = make(issuer=root)
    problem = bad(write(tmp_path / "pair.pem", leaf.key_pem(), root.pem, leaf.pem))
    line = problem.advice.partition("(")[2].removesuffix(" shows the order)")
    assert [each.split("=")[1].strip() for each in typed(line).splitlines() if "Subject:" in each] == [
        "Root",
        "gpu.example.org",
    ]
