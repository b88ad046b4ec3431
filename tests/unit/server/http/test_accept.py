from __future__ import annotations

import asyncio
import socket

from jupyterd.server.http.accept import Handshakes
from jupyterd.server.http.connections import Connections
from jupyterd.server.http.timeouts import Limits

TLS, PLAIN = b"\x16\x03\x01", b"GET /"


def shake_hands(first: list[bytes], at_once: int) -> tuple[list[tuple[str, int]], Connections]:
    """Connections whose first bytes are there at the same moment: which way each goes, in this order."""

    async def run() -> tuple[list[tuple[str, int]], Connections]:
        went: list[tuple[str, int]] = []
        connections = Connections(Limits(), asyncio.get_running_loop(), lambda _: None)
        handshakes = Handshakes(
            connections,
            at_once,
            lambda _s, _g, at: went.append(("tls", at)),
            lambda _s, _g, at: went.append(("plain", at)),
        )
        pairs = [socket.socketpair() for _ in first]
        for at, ((far, near), data) in enumerate(zip(pairs, first, strict=True)):
            far.sendall(data) if data else far.close()
            handshakes.await_first_byte(near, connections.admit(None, near.close), at)
        for _ in range(10):
            await asyncio.sleep(0)
        for far, near in pairs:
            far.close()
            near.close()
        return went, connections

    return asyncio.run(run())


def test_each_goes_the_way_of_its_first_byte():
    went, connections = shake_hands([TLS, PLAIN, b""], at_once=16)
    assert sorted(went) == [("plain", 1), ("tls", 0)]
    assert sum(len(group) for group in connections.strangers.values()) == 2  # the one that hung up is forgotten


def test_the_latest_and_the_longest_waiting_have_their_handshake_in_turn():
    went, _ = shake_hands([TLS] * 6, at_once=2)
    assert [at for _, at in went] == [5, 0, 4, 1, 3, 2]
