"""Whose X-Forwarded-For is believed, and what the user's own configuration may not switch off in silence."""

from __future__ import annotations

import re

import pytest
from jupyter_server.auth.identity import PasswordIdentityProvider
from tornado.web import RequestHandler

from jupyterd.server.auth.identity_provider import IdentityProvider
from jupyterd.server.auth.login_page import LoginHandler
from jupyterd.server.auth.proxies import caller, networks
from jupyterd.server.auth.unsafe_settings import refusal, switched_off


@pytest.mark.parametrize(
    ("peer", "forwarded", "who"),
    [
        ("203.0.113.9", "192.0.2.1", "203.0.113.9"),  # nobody's proxy
        ("127.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "6.6.6.6, 192.0.2.1", "192.0.2.1"),  # what the caller itself has written is not believed
        ("127.0.0.1", "6.6.6.6, 192.0.2.1, 10.1.0.5", "192.0.2.1"),  # two proxies of ours
        ("::ffff:127.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("127.0.0.1", "not an address\r\nforged", "127.0.0.1"),
        ("127.0.0.1", "fe80::1%eth0", "fe80::1"),
        ("127.0.0.1", "10.1.0.7", "10.1.0.7"),
    ],
)
def test_the_nearest_that_is_no_proxy_of_ours(peer, forwarded, who):
    assert caller(peer, forwarded, networks(["127.0.0.1", "10.1.0.0/24"])) == who


def test_without_the_setting_nobody_is_believed():
    assert caller("127.0.0.1", "192.0.2.1", ()) == "127.0.0.1"


class Open(IdentityProvider):
    auth_enabled = False


class OtherPage(LoginHandler):
    """Of somebody who changes ours."""


SAFE = {"xsrf_cookies": True, "identity_provider": IdentityProvider()}


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ()),
        ({"allow_origin": "https://mine.example", "allow_origin_pat": re.compile("https://.*[.]mine[.]example")}, ()),
        ({"disable_check_xsrf": True}, ("disable_check_xsrf",)),
        ({"xsrf_cookies": False}, ("disable_check_xsrf",)),
        ({"allow_origin": "*"}, ("allow_origin",)),
        ({"allow_origin_pat": re.compile(".*")}, ("allow_origin",)),
        ({"headers": {"access-control-allow-Origin": "*"}}, ("allow_origin",)),
        ({"allow_unauthenticated_access": True}, ("allow_unauthenticated_access",)),
        ({"identity_provider": Open()}, ("identity_provider_class",)),
        ({"identity_provider": PasswordIdentityProvider()}, ("identity_provider_class",)),
        ({"identity_provider": None}, ("identity_provider_class",)),
        ({"identity_provider": IdentityProvider(login_handler_class=OtherPage)}, ()),
        ({"identity_provider": IdentityProvider(login_handler_class=RequestHandler)}, ("identity_provider_class",)),
    ],
)
def test_what_leaves_the_server_open(settings, names):
    assert switched_off(SAFE | settings) == names


def test_one_sentence_names_all_and_what_to_write():
    assert refusal(["allow_origin"], ["allow_origin"], str) == ""
    told = refusal(["allow_origin", "disable_check_xsrf"], ["disable_check_xsrf"], lambda _: "the extension x")
    assert told.startswith("this server would be open: the extension x sets allow_origin, which lets")
    assert "disable_check_xsrf, which" not in told
    assert 'allow_unsafe = ["allow_origin", "disable_check_xsrf"]' in told
