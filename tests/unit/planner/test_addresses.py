"""Our own look at the interfaces against psutil's."""

from __future__ import annotations

import socket

import psutil

from jupyterd.planner import addresses


def test_it_finds_what_psutil_finds() -> None:
    theirs = {
        (name, each.address.partition("%")[0])
        for name, addresses in psutil.net_if_addrs().items()
        for each in addresses
        if each.family in (socket.AF_INET, socket.AF_INET6)
    }
    ours = {(name.partition(":")[0], address) for name, address in addresses.own_addresses()}
    assert ("lo", "127.0.0.1") in ours
    assert ours == theirs
