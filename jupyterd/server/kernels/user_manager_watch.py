"""Watches the account's user manager, in which kernels and terminals live: its end is noticed at once, by pidfd.

While it is gone, it is looked for each second.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass

from jupyterd.launch import user_manager
from jupyterd.linux import proc
from jupyterd.protocol import server_channel
from jupyterd.server.problems import ProblemReporter

_LOOK_EVERY_S = 1.0
_WITHOUT = "kernels, terminals and the recorder of their output live in it: those that ran have ended, none can start"


@dataclass(frozen=True, slots=True)
class WatchHooks:
    """Who is told, in the event loop: `ended` when the manager has ended, `back` when one runs again."""

    problems: ProblemReporter
    ended: Callable[[], None]
    back: Callable[[], None]
    pages: Callable[[str], None]
    """A sentence for every page that is open."""


async def watch(told: WatchHooks) -> None:
    """Never returns."""
    was_gone = False
    while True:
        manager = await asyncio.to_thread(user_manager.process)
        pidfd = None if manager is None else proc.open_pidfd(manager)
        if pidfd is None:
            was_gone = True
            await _say_gone(told)
            continue
        if was_gone:
            was_gone = False
            told.problems.clear(server_channel.USER_MANAGER)
            told.back()
        await _ended(pidfd)
        told.ended()


async def _say_gone(told: WatchHooks) -> None:
    outage = await asyncio.to_thread(user_manager.outage)
    if await asyncio.to_thread(user_manager.trouble) is None:
        return  # it came back meanwhile
    told.pages(f"{outage.text}: kernels and terminals have ended. To start it: {outage.advice}")
    while await asyncio.to_thread(user_manager.trouble) is not None:
        told.problems.put(server_channel.USER_MANAGER, f"{outage.text}; {_WITHOUT}", user_manager.advice())
        await asyncio.sleep(_LOOK_EVERY_S)


async def _ended(pidfd: int) -> None:
    """Return when the process has exited; closes the descriptor."""
    loop = asyncio.get_running_loop()
    exited = loop.create_future()

    def readable() -> None:
        if not exited.done():
            exited.set_result(None)

    loop.add_reader(pidfd, readable)
    try:
        await exited
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)
