"""What a person gives: any files in any order; one pair comes out, or one reason why not."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from support.authority import NOW, Made, make

from jupyterd.tls import check
from jupyterd.tls.collect import Collected, collect
from jupyterd.tls.key_pair import PairProblem

NOW_S = NOW.timestamp()
ROOT = make("root", ca=True, days=(-100, 3000))
MIDDLE = make("middle", issuer=ROOT, ca=True, days=(-100, 2000))
LEAF = make(issuer=MIDDLE)


def write(path: Path, *parts: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(b"".join(parts))
    path.chmod(mode)
    return path


def good(*paths: Path) -> Collected:
    found = collect(paths, NOW_S)
    assert isinstance(found, Collected), found
    return found


def bad(*paths: Path) -> PairProblem:
    found = collect(paths, NOW_S)
    assert isinstance(found, PairProblem), found
    assert found.advice
    return found


@pytest.mark.parametrize("order", [*itertools.permutations(range(4))], ids=str)
def test_four_files_in_any_order(tmp_path: Path, order: tuple[int, ...]) -> None:
    parts = [LEAF.key_pem(), LEAF.pem, MIDDLE.pem, ROOT.pem]
    paths = [write(tmp_path / f"{number}.pem", parts[number]) for number in order]
    found = good(*paths)
    assert (found.leaf.names, found.above, found.remarks) == (("gpu.example.org",), 1, ())
    assert found.pem == LEAF.key_pem() + LEAF.pem + MIDDLE.pem
    installed = check.check(write(tmp_path / "installed.pem", found.pem), None, NOW_S)
    assert isinstance(installed, check.Pair)
    assert installed.sha256 == found.leaf.sha256


@pytest.mark.parametrize("order", [*itertools.permutations(range(4))], ids=str)
def test_one_file_in_any_order(tmp_path: Path, order: tuple[int, ...]) -> None:
    parts = [LEAF.key_pem(), LEAF.pem, MIDDLE.pem, ROOT.pem]
    found = good(write(tmp_path / "all.pem", *(parts[number] for number in order)))
    assert found.pem == LEAF.key_pem() + LEAF.pem + MIDDLE.pem


def test_the_same_part_in_two_files_is_one(tmp_path: Path) -> None:
    """certbot's cert.pem, fullchain.pem and privkey.pem together."""
    found = good(
        write(tmp_path / "cert.pem", LEAF.pem),
        write(tmp_path / "fullchain.pem", LEAF.pem, MIDDLE.pem),
        write(tmp_path / "privkey.pem", LEAF.key_pem()),
    )
    assert found.pem.count(b"BEGIN CERTIFICATE") == 2


def test_a_chain_of_somebody_else_is_left_out_and_told(tmp_path: Path) -> None:
    other = make("other", ca=True)
    found = good(write(tmp_path / "all.pem", LEAF.key_pem(), LEAF.pem, MIDDLE.pem, other.pem))
    assert found.above == 1
    assert "left out" in found.remarks[0].text


def test_a_missing_chain_is_told(tmp_path: Path) -> None:
    (remark,) = good(write(tmp_path / "all.pem", LEAF.key_pem(), LEAF.pem)).remarks
    assert "who signed it" in remark.text


def test_a_self_signed_one_lacks_no_chain(tmp_path: Path) -> None:
    own = make()
    assert good(write(tmp_path / "all.pem", own.key_pem(), own.pem)).remarks == ()


def test_a_key_that_others_can_read_is_told(tmp_path: Path) -> None:
    own = make()
    (remark,) = good(write(tmp_path / "all.pem", own.key_pem(), own.pem, mode=0o644)).remarks
    assert remark.advice == f"chmod 600 {tmp_path / 'all.pem'}"


def expired() -> Made:
    return make(days=(-90, -2))


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([LEAF.pem], "no private key"),
        ([LEAF.key_pem()], "no certificate"),
        ([ROOT.key_pem(), LEAF.pem, MIDDLE.pem], "does not belong to any certificate"),
        ([LEAF.key_pem(), ROOT.key_pem(), LEAF.pem], "2 private keys"),
        ([expired().pem], "no private key"),
        ([LEAF.key_pem(passphrase=b"x"), LEAF.pem], "is encrypted"),
        (
            [LEAF.key_pem(serialization.PrivateFormat.TraditionalOpenSSL, b"x"), LEAF.pem],
            "is encrypted",
        ),
        ([LEAF.key_pem(serialization.PrivateFormat.OpenSSH), LEAF.pem], "SSH key"),
        ([b"hello"], "not a PEM file"),
        ([b""], "is empty"),
        ([LEAF.der], "is binary"),
    ],
    ids=range(11),
)
def test_what_is_refused(tmp_path: Path, parts: list[bytes], words: str) -> None:
    assert words in bad(write(tmp_path / "all.pem", *parts)).text


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (expired(), "expired 2 days ago"),
        (make(days=(1, 90)), "not valid yet"),
    ],
    ids=["expired", "early"],
)
def test_what_no_browser_takes(tmp_path: Path, made: Made, words: str) -> None:
    assert words in bad(write(tmp_path / "all.pem", made.key_pem(), made.pem)).text


def test_the_certificate_of_the_old_guides_names_no_host_and_can_be_served(tmp_path: Path) -> None:
    made = make(names=())
    found = good(write(tmp_path / "mycert.pem", made.pem), write(tmp_path / "mykey.key", made.key_pem()))
    assert any("names no host" in each.text for each in found.remarks)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "does not exist" in bad(tmp_path / "nothing.pem").text
    assert "a directory" in bad(tmp_path).text
