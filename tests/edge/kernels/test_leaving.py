"""What a page that was left while it connected has taken in memory is given back."""

from __future__ import annotations

import asyncio
import random

from support.leaver import Leaver
from support.waiting import eventually

LEFT = 1000
CANCELLED_TIMERS = 2 * 100
"""asyncio drops a cancelled timer with what it holds when there are more than 100, and more than half are cancelled;
each connection has a handler and a websocket."""


def test_a_thousand_pages_that_were_left_are_no_longer_in_memory(place):
    server = place.serve()
    _, kernel = server.new_session()
    terminal = server.ask("POST", "/api/terminals")[1]["name"]
    before = server.get("/websockets")
    asyncio.run(Leaver(server.port, "t", kernel, terminal, random.Random(21)).leave(LEFT))
    eventually(lambda: server.get(f"/api/kernels/{kernel}")["connections"] == 0)
    eventually(lambda: server.get("/websockets") <= before + CANCELLED_TIMERS)
    server.ask("DELETE", f"/api/terminals/{terminal}")
