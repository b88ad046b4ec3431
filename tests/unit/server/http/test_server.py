"""The host that a request names."""

from __future__ import annotations

import pytest

from jupyterd.server.http.server import host_name, plain_answer


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost", "localhost"), ("GPU.lan:8888", "gpu.lan"), ("gpu.lan.", "gpu.lan"), ("[::1]:8888", "::1"),
        ("[2001:DB8::1]", "2001:db8::1"), ("10.0.0.1:1", "10.0.0.1"), ("", ""), (":80", ""),
    ],
)  # fmt: skip
def test_host_name(header, name):
    assert host_name(header) == name


@pytest.mark.parametrize(
    ("host", "leads"),
    [
        ("gpu.lan", "https://gpu.lan:80/tree?x=1"), ("gpu.lan:80", "https://gpu.lan:80/tree?x=1"),
        ("gpu.lan:8888", "https://gpu.lan:8888/tree?x=1"), ("10.0.0.1", "https://10.0.0.1:80/tree?x=1"),
        ("[::1]", "https://[::1]:80/tree?x=1"), ("[2001:db8::1]:443", "https://[2001:db8::1]:443/tree?x=1"),
    ],
)  # fmt: skip
def test_plain_http_is_led_to_the_port_that_it_came_to(host: str, leads: str) -> None:
    answer = plain_answer(f"GET /tree?x=1 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 307 ")
    assert f"\r\nLocation: {leads}\r\n".encode() in answer
