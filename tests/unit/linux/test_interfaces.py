"""Our own look at the interfaces against psutil's, and the flags of IPv6 addresses."""

from __future__ import annotations

import socket
from pathlib import Path

import psutil
import pytest

from jupyterd.linux import interfaces
from jupyterd.linux.interfaces import Held


def test_it_finds_what_psutil_finds() -> None:
    theirs = {
        (name, each.address.partition("%")[0])
        for name, addresses in psutil.net_if_addrs().items()
        for each in addresses
        if each.family in (socket.AF_INET, socket.AF_INET6)
    }
    ours = {(each.interface.partition(":")[0], each.address) for each in interfaces.held()}
    assert ("lo", "127.0.0.1") in ours
    assert ours == theirs
    assert set(interfaces.present()) <= {address for _, address in theirs}


ROW = "20010db8000000000000000000000007 02 40 {scope} {flags}     eth0\n"


@pytest.mark.parametrize(
    ("scope", "flags", "held"),
    [
        ("00", "80", Held("eth0", "2001:db8::7")),
        ("20", "80", Held("eth0", "2001:db8::7", link_local=True)),
        ("00", "01", Held("eth0", "2001:db8::7", lasting=False)),  # temporary
        ("00", "20", Held("eth0", "2001:db8::7", lasting=False)),  # deprecated
        ("00", "40", Held("eth0", "2001:db8::7", usable=False)),  # still checked for a duplicate
        ("00", "48", Held("eth0", "2001:db8::7", usable=False)),  # is a duplicate
    ],
)
def test_what_the_flags_of_an_ipv6_address_mean(
    scope: str, flags: str, held: Held, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "if_inet6"
    file.write_text(ROW.format(scope=scope, flags=flags), "ascii")
    monkeypatch.setattr(interfaces, "IF_INET6", str(file))
    assert [each for each in interfaces.held() if each.interface == "eth0" and ":" in each.address] == [held]
    assert ("2001:db8::7" in interfaces.present()) is (held.usable and not held.link_local)


def test_a_machine_without_ipv6_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interfaces, "IF_INET6", str(tmp_path / "none"))
    assert {":" in each.address for each in interfaces.held()} == {False}
