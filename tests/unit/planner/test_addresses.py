"""Which addresses are probed, and which URLs may be shown on what proof."""

from __future__ import annotations

import pytest

from jupyterd.planner import addresses
from jupyterd.planner.addresses import Interfaces
from jupyterd.protocol.plan import Listen
from jupyterd.settings.schema import ServerSettings

LAN, LAN6 = "192.168.1.7", "2001:db8::7"
BOTH = Interfaces((LAN, LAN6), (("gpu.lan", (LAN, LAN6)),), ipv6=True)
ONLY_V4 = Interfaces((LAN,), (("gpu.lan", (LAN,)),), ipv6=False)


def shown(server: ServerSettings, machine: Interfaces) -> dict[str, list[tuple[str, str]]]:
    """URL without scheme and port -> (name, address) of the targets that prove it."""
    listen = addresses.listeners(server, machine)
    found = addresses.targets(listen, machine)
    assert [each.needed for each in found] == [True] * len(listen) + [False] * (len(found) - len(listen))
    return {
        url.removeprefix("https://").removesuffix(":8888/"): [(found[at].name, found[at].address) for at in proofs]
        for url, proofs in addresses.urls(found, listen, machine, server, "https")
    }


def lit(*each: str) -> list[tuple[str, str]]:
    return [(address, address) for address in each]


LOOPBACK = {"localhost": lit("127.0.0.1", "::1"), "127.0.0.1": lit("127.0.0.1"), "[::1]": lit("::1")}
LITERAL = {LAN: lit(LAN), f"[{LAN6}]": lit(LAN6)}


@pytest.mark.parametrize(
    ("ip", "names", "machine", "urls"),
    [
        (("localhost",), (), BOTH, LOOPBACK),
        (("localhost",), (), ONLY_V4, {"localhost": lit("127.0.0.1"), "127.0.0.1": lit("127.0.0.1")}),
        # Half of a name is not enough: a browser may choose the other half.
        (("127.0.0.1",), (), BOTH, {"127.0.0.1": lit("127.0.0.1")}),
        (("::1",), (), BOTH, {"[::1]": lit("::1")}),
        ((LAN,), (), BOTH, {LAN: lit(LAN)}),
        ((LAN,), (), ONLY_V4, {"gpu.lan": [("gpu.lan", LAN)], LAN: lit(LAN)}),
        (("*",), (), BOTH, {"gpu.lan": [("gpu.lan", LAN), ("gpu.lan", LAN6)], **LITERAL, **LOOPBACK}),
        (("0.0.0.0",), (), BOTH, {LAN: lit(LAN), "127.0.0.1": lit("127.0.0.1")}),
        # A name from the settings that leads elsewhere, a router perhaps, is what the settings say.
        (("localhost",), ("away.example",), BOTH, {"away.example": [], **LOOPBACK}),
        # One that leads to this machine needs proof, and one that we do not serve on is not shown.
        (("localhost",), ("gpu.lan",), BOTH, LOOPBACK),
        (
            ("*",), ("box",), Interfaces((LAN, LAN6), (("box", ("127.0.1.1",)),), ipv6=True),
            {"box": lit("127.0.0.1"), **LITERAL, **LOOPBACK},
        ),
        # An address that nobody types (link-local, temporary) is covered by the socket for all of the family.
        (
            ("*",), (), Interfaces((LAN,), (("gpu.lan", (LAN, "fe80::1")),), ipv6=True),
            {"gpu.lan": [("gpu.lan", LAN), ("::1", "::1")], LAN: lit(LAN), **LOOPBACK},
        ),
        (("127.0.0.5",), (), BOTH, {"127.0.0.5": lit("127.0.0.5")}),
    ],
)  # fmt: skip
def test_which_urls_may_be_shown_and_what_proves_them(
    ip: tuple[str, ...], names: tuple[str, ...], machine: Interfaces, urls: dict[str, list[tuple[str, str]]]
) -> None:
    found = shown(ServerSettings(ip=ip, names=names, port=8888), machine)
    assert found == urls
    assert list(found) == list(urls)  # best first


def test_a_name_of_which_one_address_is_not_ours_is_not_even_probed() -> None:
    listen = (Listen("0.0.0.0", 8888),)
    assert {each.name for each in addresses.targets(listen, BOTH)} == {"127.0.0.1", LAN}


def test_the_default_port_is_left_out() -> None:
    server = ServerSettings(ip=("127.0.0.1",), port=443, base_url="/x/")
    listen = addresses.listeners(server, ONLY_V4)
    found = addresses.urls(addresses.targets(listen, ONLY_V4), listen, ONLY_V4, server, "https")
    assert found == (("https://localhost/x/", (0,)), ("https://127.0.0.1/x/", (0,)))
