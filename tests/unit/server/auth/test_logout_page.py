"""Who may end a login with a GET."""

from __future__ import annotations

import pytest
from tornado.httputil import HTTPHeaders

from jupyterd.server.auth.logout_page import is_wanted

HOST = {"Host": "gpu.lan:8888"}


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({}, True), ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "document"}, True),
        ({"Sec-Fetch-Site": "none", "Sec-Fetch-Dest": "document"}, True), ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "image"}, False),
        ({"Referer": "https://GPU.lan:8888/tree"}, True), ({"Referer": "https://evil.example/"}, False),
        ({"Referer": "https://gpu.lan:9999/"}, False),
    ],
)  # fmt: skip
def test_our_own_pages_and_persons_may(headers, wanted):
    assert is_wanted(HTTPHeaders(HOST | headers)) is wanted
