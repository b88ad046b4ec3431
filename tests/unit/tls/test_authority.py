"""The machine's own authority: whom it may sign for, when its certificate is made again, and who trusts it."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest

from jupyterd.tls import authority, build, check
from jupyterd.tls.authority import AUTHORITY_DAYS, LEAF_DAYS, Authority, Ensured
from jupyterd.tls.key_pair import PairProblem
from jupyterd.tls.make import self_signed

NOW_S = 1_900_000_000.0
DAY_S = 86400.0
NAMES = ("gpu.example.org", "gpu", "localhost")
ADDRESSES = ("192.168.1.7", "203.0.113.9", "127.0.0.1", "::1")


@pytest.fixture
def signer(tmp_path: Path) -> Authority:
    authority.found(tmp_path / "tls/authority.pem", "gpu", NAMES, ADDRESSES, NOW_S)
    return read(tmp_path / "tls/authority.pem")


def read(path: Path) -> Authority:
    found = authority.read(path)
    assert isinstance(found, Authority), found
    return found


def look(path: Path, now: float = NOW_S) -> check.Pair:
    found = check.check(path, None, now)
    assert isinstance(found, check.Pair), found
    return found


def verify(signer: Authority, leaf: Path, *more: str) -> str:
    """What openssl says that trusts this authority alone."""
    ca = leaf.with_name("ca.crt")
    ca.write_text(signer.certificate)
    argv = ["openssl", "verify", "-attime", str(int(NOW_S)), "-CAfile", ca, "-purpose", "sslserver", *more, leaf]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=10)
    return done.stdout + done.stderr


def test_private_and_long_lived(signer: Authority, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "tls/authority.pem").stat().st_mode) == 0o600
    assert signer.name.startswith("jupyterd on gpu, ")
    assert signer.not_after == NOW_S + (AUTHORITY_DAYS - 1) * DAY_S - 1
    assert "PRIVATE" not in signer.certificate
    assert "PRIVATE" not in repr(signer)


def test_its_certificate_is_trusted_under_every_name(signer: Authority, tmp_path: Path) -> None:
    leaf = tmp_path / "local.pem"
    assert authority.ensure(leaf, signer, NAMES, ADDRESSES, NOW_S) == Ensured(made=True, left_out=())
    found = look(leaf)
    assert set(found.names) == {*NAMES, *ADDRESSES}
    assert not found.self_signed
    assert found.not_after - found.not_before + 1 == LEAF_DAYS * DAY_S
    for name in NAMES:
        assert "OK" in verify(signer, leaf, "-verify_hostname", name)
    for address in ADDRESSES:
        assert "OK" in verify(signer, leaf, "-verify_ip", address)


def test_kept_until_a_third_is_left(signer: Authority, tmp_path: Path) -> None:
    leaf = tmp_path / "local.pem"
    authority.ensure(leaf, signer, NAMES, ADDRESSES, NOW_S)
    before = leaf.read_bytes()
    for day, made in ((1, False), (LEAF_DAYS * 2 / 3 - 2, False), (LEAF_DAYS * 2 / 3, True)):
        assert authority.ensure(leaf, signer, NAMES, ADDRESSES, NOW_S + day * DAY_S).made is made
        assert (leaf.read_bytes() != before) is made


def test_made_again_for_a_name_or_an_address_and_not_for_one_that_went(signer: Authority, tmp_path: Path) -> None:
    leaf = tmp_path / "local.pem"
    authority.ensure(leaf, signer, NAMES, ADDRESSES, NOW_S)
    assert authority.ensure(leaf, signer, (*NAMES, "gpu.lan"), ADDRESSES, NOW_S).made
    assert authority.ensure(leaf, signer, NAMES, (*ADDRESSES, "10.1.2.3"), NOW_S).made
    assert not authority.ensure(leaf, signer, NAMES[:1], (), NOW_S).made


def test_what_it_may_not_sign_for_is_left_out_and_the_rest_is_trusted(signer: Authority, tmp_path: Path) -> None:
    leaf = tmp_path / "local.pem"
    strangers = ("bank.example.com", "198.51.100.1", "notgpu", "2001:db8::1")
    wanted = Ensured(made=True, left_out=("bank.example.com", "notgpu", "198.51.100.1", "2001:db8::1"))
    names, addresses = (*NAMES, *strangers[::2]), (*ADDRESSES, *strangers[1::2])
    assert authority.ensure(leaf, signer, names, addresses, NOW_S) == wanted
    assert not set(look(leaf).names) & set(strangers)
    assert "OK" in verify(signer, leaf)
    assert authority.ensure(leaf, signer, names, addresses, NOW_S) == Ensured(False, wanted.left_out)  # noqa: FBT003


def test_clients_refuse_what_a_thief_of_the_key_signs_for_others(signer: Authority, tmp_path: Path) -> None:
    for subject in ("bank.example.com", "198.51.100.1"):
        forged = tmp_path / "forged.pem"
        forged.write_bytes(build.signed([subject], signer.pem, NOW_S, 30))
        assert "permitted subtree violation" in verify(signer, forged)


def test_a_new_authority_makes_a_new_certificate(signer: Authority, tmp_path: Path) -> None:
    leaf = tmp_path / "local.pem"
    authority.ensure(leaf, signer, NAMES, ADDRESSES, NOW_S)
    authority.found(tmp_path / "tls/authority.pem", "gpu", NAMES, ADDRESSES, NOW_S)
    second = read(tmp_path / "tls/authority.pem")
    assert second.name == signer.name
    assert authority.ensure(leaf, second, NAMES, ADDRESSES, NOW_S).made
    assert authority.has_signed(str(leaf), second, NOW_S)
    assert not authority.has_signed(str(leaf), signer, NOW_S)


def test_it_signs_nothing_that_outlives_it(signer: Authority, tmp_path: Path) -> None:
    leaf = tmp_path / "local.pem"
    late = signer.not_after - 30 * DAY_S
    authority.ensure(leaf, signer, NAMES, ADDRESSES, late)
    assert look(leaf, late).not_after <= signer.not_after


@pytest.mark.parametrize("damage", [b"", b"x", "key", "certificate", "leaf"])
def test_what_is_no_authority(signer: Authority, tmp_path: Path, damage: bytes | str) -> None:
    path = tmp_path / "tls/authority.pem"
    key, _, certificate = signer.pem.partition(b"-----BEGIN CERTIFICATE")
    match damage:
        case "key":
            path.write_bytes(key)
        case "certificate":
            path.write_bytes(b"-----BEGIN CERTIFICATE" + certificate)
        case "leaf":
            self_signed(path, ["localhost"], [], NOW_S)
        case bytes():
            path.write_bytes(damage)
    assert isinstance(authority.read(path), PairProblem)


def test_one_that_others_can_read_is_refused(signer: Authority, tmp_path: Path) -> None:
    (tmp_path / "tls/authority.pem").chmod(0o644)
    found = authority.read(tmp_path / "tls/authority.pem")
    assert isinstance(found, PairProblem)
    assert "chmod" in found.advice
    assert signer
