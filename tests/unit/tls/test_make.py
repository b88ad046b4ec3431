"""The self-signed certificate: what is in it, when it is kept, and that it is written in one private step."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from jupyterd.tls.check import Pair, check
from jupyterd.tls.make import ADDRESSES_MOST, DAYS, ensure, self_signed

NOW_S = 1_900_000_000.0
DAY_S = 86400.0


def look(path: Path, now: float = NOW_S) -> Pair:
    found = check(path, None, now)
    assert isinstance(found, Pair), found
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state/tls/self-signed.pem"


def test_it_serves_under_every_name_and_address(path: Path) -> None:
    self_signed(path, ["GPU.lan.", "localhost"], ["127.0.0.1", "::1", "fe80::1%eth0", "localhost"], NOW_S)
    pair = look(path)
    assert pair.names == ("gpu.lan", "localhost", "127.0.0.1", "::1", "fe80::1")
    assert pair.self_signed
    assert (pair.validity, pair.remarks) == ("valid", ())
    assert pair.not_before == NOW_S - DAY_S


def test_no_browser_finds_it_too_long_lived(path: Path) -> None:
    self_signed(path, ["localhost"], [], NOW_S)
    pair = look(path)
    assert pair.not_after - pair.not_before + 1 == DAYS * DAY_S <= 825 * DAY_S


def test_extensions_of_a_server_and_no_authority(path: Path) -> None:
    self_signed(path, ["localhost"], [], NOW_S)
    made = x509.load_pem_x509_certificate(path.read_bytes())
    assert isinstance(made.public_key(), ec.EllipticCurvePublicKey)
    basic = made.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value.ca) == (True, False)
    usage = made.extensions.get_extension_for_class(x509.KeyUsage)
    assert (usage.critical, usage.value.digital_signature, usage.value.key_cert_sign) == (True, True, False)
    extended = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert list(extended.value) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_it_is_private_whatever_the_umask(path: Path) -> None:
    self_signed(path, ["localhost"], [], NOW_S)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_link_in_its_place_is_set_aside_and_not_followed(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir(parents=True, mode=0o700)
    victim = tmp_path / "victim"
    victim.write_text("untouched", "ascii")
    path.symlink_to(victim)
    assert ensure(path, ["localhost"], [], NOW_S)
    assert victim.read_text("ascii") == "untouched"
    assert not path.is_symlink()
    assert path.with_name(f"{path.name}.damaged").readlink() == victim


@pytest.mark.parametrize("names", [["ä" * 70], ["a b\u2028"], ["a b"], ["x" * 64], ["a..b"], ["a." * 127 + "b"]])
def test_what_cannot_be_a_name_is_named(path: Path, names: Sequence[str]) -> None:
    with pytest.raises(ValueError, match="cannot be a host name"):
        self_signed(path, names, [], NOW_S)
    assert not path.exists()


def test_nobody_to_name(path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        self_signed(path, ["*", ""], ["0.0.0.0", "::"], NOW_S)


def test_names_beyond_ascii_and_beyond_64(path: Path) -> None:
    long = ".".join(["a" * 40] * 4)
    self_signed(path, [long, "rechner-ö.example"], [], NOW_S)
    assert look(path).names == (long, "xn--rechner--u4a.example")


# --- ensure --------------------------------------------------------------------------------------------------------

NAMES = ("localhost", "gpu.lan", "192.0.2.7")
ADDRESSES = ("10.0.0.1", "fd00::1")


@pytest.fixture
def kept(path: Path) -> str:
    assert ensure(path, NAMES, ADDRESSES, NOW_S)
    return look(path).sha256


def test_a_good_one_is_kept(path: Path, kept: str) -> None:
    assert not ensure(path, NAMES, ADDRESSES, NOW_S)
    assert look(path).sha256 == kept


@pytest.mark.parametrize(
    ("names", "addresses", "made"),
    [
        (NAMES, ("10.0.0.1",), False),  # an address that is gone
        (NAMES, ("10.0.0.2", "fd00::2"), True),  # another network
        (("GPU.lan", "localhost"), (), False),
        (("[fd00::1]", "localhost"), (), False),
        ((*NAMES, "gpu.example.org"), ADDRESSES, True),  # a name that the user types
        ((*NAMES, "192.0.2.8"), ADDRESSES, True),  # an address that the user has set
    ],
)
def test_a_name_or_an_address_that_is_not_in_it_makes_a_new_one(
    path: Path,
    kept: str,
    names: Sequence[str],
    addresses: Sequence[str],
    made: bool,  # noqa: FBT001
) -> None:
    assert ensure(path, names, addresses, NOW_S) is made
    assert (look(path).sha256 != kept) is made


@pytest.mark.usefixtures("kept")
def test_who_comes_back_to_a_network_finds_the_same_certificate(path: Path) -> None:
    assert ensure(path, NAMES, ("10.0.0.2",), NOW_S)
    assert look(path).names == (*NAMES, "10.0.0.2", *ADDRESSES)
    assert not ensure(path, NAMES, ADDRESSES, NOW_S)
    for number in range(100):
        ensure(path, NAMES, (f"10.1.0.{number}",), NOW_S)
    assert len(look(path).names) <= len(NAMES) + ADDRESSES_MOST
    assert "10.1.0.0" not in look(path).names
    assert {"10.1.0.99", "10.1.0.98"} <= set(look(path).names)


@pytest.mark.parametrize(("days", "made"), [(1, False), (548, False), (551, True), (900, True), (-2, True)])
def test_it_is_renewed_at_a_third_of_its_life_or_with_a_wrong_clock(
    path: Path,
    kept: str,
    days: float,
    made: bool,  # noqa: FBT001
) -> None:
    assert ensure(path, NAMES, ADDRESSES, NOW_S + days * DAY_S) is made
    assert (look(path).sha256 != kept) is made


def test_one_that_others_could_read_is_replaced(path: Path, kept: str) -> None:
    path.chmod(0o644)
    assert ensure(path, NAMES, ADDRESSES, NOW_S)
    assert look(path).sha256 != kept


@pytest.mark.parametrize("data", [b"", b"garbage", b"\xff\xff"])
@pytest.mark.usefixtures("kept")
def test_a_damaged_one_is_replaced(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    assert ensure(path, NAMES, ADDRESSES, NOW_S)
    assert look(path).validity == "valid"


def test_where_nothing_can_be_written_it_says_so(path: Path) -> None:
    path.parents[1].write_text("")
    with pytest.raises(NotADirectoryError):
        ensure(path, NAMES, ADDRESSES, NOW_S)
