"""The host that a request names."""

from __future__ import annotations

import pytest

from jupyterd.server.http.server import host_name


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost", "localhost"), ("GPU.lan:8888", "gpu.lan"), ("gpu.lan.", "gpu.lan"), ("[::1]:8888", "::1"),
        ("[2001:DB8::1]", "2001:db8::1"), ("10.0.0.1:1", "10.0.0.1"), ("", ""), (":80", ""),
    ],
)  # fmt: skip
def test_host_name(header, name):
    assert host_name(header) == name
