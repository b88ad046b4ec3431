"""How the server ends: requests under way are answered, each further step has a time-out, and kernels stay."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from logging import Logger

from jupyterd.server.http.server import BoundedHTTPServer

DRAIN_TIMEOUT_S = 3.0
"""For the requests under way that change nothing."""
FINISH_TIMEOUT_S = 86400.0
"""For the others, such as a save. How much is too much the supervisor decides (core/busy.py)."""
STEP_TIMEOUT_S = 2.0
"""For each further step; past it the process ends all the same."""


async def leave(server: BoundedHTTPServer, release: Callable[[], Awaitable[None]]) -> None:
    """Stop accepting, answer what was asked, then `release`. The supervisor keeps the listening sockets open: new
    connections wait there for the next server. What changes something is finished: a save, for example.
    """
    server.stop()
    await server.drain(DRAIN_TIMEOUT_S, FINISH_TIMEOUT_S)
    await release()


async def finish(server: BoundedHTTPServer, release: Callable[[], Awaitable[None]]) -> None:
    """The same for a retired server (core/busy.py): `release` first, because the next server runs already, and then as
    much time for the requests under way as they need.
    """
    server.stop()
    await release()
    await server.drain(FINISH_TIMEOUT_S)


async def run_steps(steps: tuple[Awaitable[object], ...], log: Logger) -> None:
    """Run the steps one after the other; one that fails or takes too long is logged, and the next follows."""
    for step in steps:
        try:
            await asyncio.wait_for(step, STEP_TIMEOUT_S)
        except Exception:  # the next step matters all the same
            log.exception("A step of leaving failed")
