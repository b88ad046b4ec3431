"""Addresses as text."""

from __future__ import annotations

import pytest

from jupyterd.linux.net import customer, is_address, is_loopback


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"), ("fe80::1%eth0", "fe80::/64"), ("", ""), ("unix:", "unix:"),
    ],
)  # fmt: skip
def test_what_counts_as_one_address(address, key):
    assert customer(address) == key


@pytest.mark.parametrize(
    ("text", "literal", "loopback"),
    [
        ("127.0.0.1", True, True), ("127.9.9.9", True, True), ("::1", True, True), ("::ffff:127.0.0.1", True, True),
        ("10.0.0.1", True, False), ("2001:db8::1", True, False), ("localhost", False, False), ("", False, False),
        ("[::1]", False, False), ("1.2.3", False, False),
    ],
)  # fmt: skip
def test_literal_addresses(text: str, *, literal: bool, loopback: bool) -> None:
    assert (is_address(text), is_loopback(text)) == (literal, loopback)
