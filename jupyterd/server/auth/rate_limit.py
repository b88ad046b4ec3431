"""Limits login attempts: which ones are checked, on which thread hashes are computed, and what is logged.

A browser that logged in before carries a signed cookie that says so, and has an allowance of its own: behind a tunnel
or a proxy everybody has one address, addresses change, and a list of them would have to be kept. The cookie logs
nobody in.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import re
import secrets
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from logging import LoggerAdapter
from typing import Any, Literal

from tornado import web

from jupyterd.linux import net
from jupyterd.server.auth import allowance
from jupyterd.server.auth.allowance import Allowance, Guess, TooMany
from jupyterd.server.http.caller import CALLER

PAUSE_S = 1.0
"""Seconds before a refusal is answered: eight persistent guessers then cost eight small responses a second."""
PAUSING_MOST = 64
"""How many answers are delayed at most, since each is an open request; further ones are sent at once."""
WAITING_MOST = 8
"""How many hashes may wait for a thread, 0.1 s each."""
NICE = 10
"""Nice value of the thread that hashes the attempts of unknown browsers (setpriority(2))."""
KNOWN_DAYS = 400
"""Lifetime of the cookie in days, the most that browsers allow."""
_NO_NAME = re.compile(r"[^A-Za-z0-9]")


class Busy(Exception):  # noqa: N818 - it is what it is
    """Too many attempts wait for the hash thread."""


Check = Callable[[bool], Awaitable[bool]]
"""Finds out whether a secret is right; its argument: whether a browser asks that has not logged in before."""


class RateLimit:
    """The rate limit of a server. Owns two threads, so that a browser that logged in before never waits for others."""

    def __init__(self, log: LoggerAdapter[Any], clock: Callable[[], float]) -> None:
        self._log = log
        self._clock = clock
        self._strangers = Allowance(allowance.PER_ADDRESS, allowance.STRANGERS_IN_ALL)
        self._known = Allowance(allowance.PER_ADDRESS, allowance.KNOWN_IN_ALL)
        self._stranger_hashes, self._hashes = _HashThread("login-strangers", NICE), _HashThread("login", 0)
        self._pausing = 0
        self._key = secrets.token_bytes()
        """Under which wrong secrets are remembered: their plain hashes in memory would be a gift."""
        self._running: dict[tuple[str, bytes], asyncio.Future[bool]] = {}
        """The checks under way, by who asks and the name of the secret."""

    # --- guesses ----------------------------------------------------------------------------------------------

    async def judge(
        self, handler: web.RequestHandler, what: Literal["password", "token"], secret: str, check: Check
    ) -> bool | TooMany:
        """Whether `secret` is right. `check` finds out, unless too many were wrong, or this one was before. A wrong one
        counts, and is logged in the form that etc/fail2ban/filter.d/jupyterd.conf reads. `secret` includes all on which
        the result depends. Raises what `check` raises; then nothing counts.
        """
        address, known = net.customer(str(handler.request.remote_ip)), _known_as(handler)
        counted, key = (self._strangers, address) if known is None else (self._known, known)
        name = hmac.digest(self._key, secret.encode("utf-8", "surrogatepass"), "sha256")
        if (refusal := counted.refusal(key, self._clock())) is not None:
            if refusal.first:
                who = f"from {address}" if known is None else f"of a browser that logged in before (at {address})"
                self._log.warning("logins %s are refused for %.0f s: too many failed", who, refusal.wait_s)
            mark_logged()
            await self.pause()
            return refusal
        if counted.was_wrong(key, name, self._clock()):
            right = False
        elif (running := self._running.get((key, name))) is not None:
            right = await asyncio.shield(running)
        else:
            guess = counted.admit(key, self._clock())
            running = asyncio.ensure_future(self._check(counted, guess, name, check(known is None)))
            self._running[key, name] = running
            running.add_done_callback(lambda _: self._running.pop((key, name)))
            right = await running
            if not right:
                self._log.warning("login failed from %s (%s)", handler.request.remote_ip, what)
        if not right:
            mark_logged()
            await self.pause()
        return right

    async def _check(self, counted: Allowance, guess: Guess, name: bytes, result: Awaitable[bool]) -> bool:
        try:
            right = await result
        except BaseException:
            counted.give_back(guess)
            raise
        if right:
            counted.give_back(guess)
        else:
            counted.found_wrong(guess, name, self._clock())
        return right

    async def pause(self) -> None:
        """Delay an answer to a failed attempt by 1 s."""
        if self._pausing >= PAUSING_MOST:
            return
        self._pausing += 1
        try:
            await asyncio.sleep(PAUSE_S)
        finally:
            self._pausing -= 1

    # --- hashes -----------------------------------------------------------------------------------------------

    async def hash(self, function: Callable[..., Any], *args: object, stranger: bool = False) -> Any:  # noqa: ANN401 - the function's
        """Call `function` in a thread, one call at a time; those for strangers wait apart. Raises Busy."""
        return await (self._stranger_hashes if stranger else self._hashes).run(function, *args)


def remember(handler: web.RequestHandler, path: str, *, secure: bool) -> None:
    """Set the cookie that says that somebody has logged in with this browser."""
    handler.set_signed_cookie(
        _name(handler), _known_as(handler) or secrets.token_urlsafe(12), expires_days=KNOWN_DAYS,
        path=path, secure=secure, httponly=True, samesite="Strict",
    )  # fmt: skip


def mark_logged() -> None:
    """Note that this request was logged: the lines that follow about it say nothing new."""
    caller = CALLER.get()
    if caller is not None:
        caller.told = True


def _known_as(handler: web.RequestHandler) -> str | None:
    value = handler.get_signed_cookie(_name(handler), max_age_days=KNOWN_DAYS)
    return None if value is None else value.decode("ascii", "replace")


def _name(handler: web.RequestHandler) -> str:
    """The cookie's name, which differs by server: cookies are shared between the ports of a host."""
    return _NO_NAME.sub("-", f"known-{handler.request.host}")


class _HashThread:
    """A thread with a bounded queue."""

    def __init__(self, name: str, nice: int) -> None:
        self._threads = ThreadPoolExecutor(1, name, initializer=_be_nice, initargs=(nice,))
        self._waiting = 0

    async def run(self, function: Callable[..., Any], *args: object) -> Any:  # noqa: ANN401 - the function's
        if self._waiting >= WAITING_MOST:
            raise Busy
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)
        finally:
            self._waiting -= 1


def _be_nice(nice: int) -> None:
    if nice:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + nice)
