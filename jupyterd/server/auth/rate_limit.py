"""Limits login attempts: which ones are checked, on which thread hashes are computed, and what is logged.

A browser that logged in before carries a signed cookie that says so, and has an allowance of its own: behind a tunnel
or a proxy everybody has one address, addresses change, and a list of them would have to be kept. The cookie logs
nobody in.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from logging import LoggerAdapter
from typing import Any, Literal

import attrs
from tornado import web

from jupyterd.linux import net
from jupyterd.server.auth import allowance
from jupyterd.server.auth.allowance import Allowance, Guess, Refusal
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


@attrs.frozen
class Attempt:
    """An attempt that was admitted; `known`: the browser logged in before."""

    guess: Guess
    known: bool


class RateLimit:
    """The rate limit of a server. Owns two threads, so that a browser that logged in before never waits for others."""

    def __init__(self, log: LoggerAdapter[Any], clock: Callable[[], float]) -> None:
        self._log = log
        self._clock = clock
        self._strangers = Allowance(allowance.PER_ADDRESS, allowance.STRANGERS_IN_ALL)
        self._known = Allowance(allowance.PER_ADDRESS, allowance.KNOWN_IN_ALL)
        self._stranger_hashes, self._hashes = _HashThread("login-strangers", NICE), _HashThread("login", 0)
        self._pausing = 0

    # --- allowances -------------------------------------------------------------------------------------------

    def admit(self, handler: web.RequestHandler) -> Attempt | Refusal:
        """Admit or refuse the attempt of this request. It counts as failed until `give_back`."""
        address = net.customer(str(handler.request.remote_ip))
        known = _known_as(handler)
        counted = self._strangers if known is None else self._known
        found = counted.admit(known or address, self._clock())
        if isinstance(found, Guess):
            return Attempt(found, known is not None)
        if found.first:
            who = f"from {address}" if known is None else f"of a browser that logged in before (at {address})"
            self._log.warning("logins %s are refused for %.0f s: too many failed", who, found.wait_s)
        return found

    def give_back(self, attempt: Attempt) -> None:
        """Return the attempt to the allowance: the credential was correct, or was not checked."""
        (self._known if attempt.known else self._strangers).give_back(attempt.guess)

    async def failed(self, handler: web.RequestHandler, what: Literal["password", "token"]) -> None:
        """Log a failed login, in the form that etc/fail2ban/filter.d/jupyterd.conf reads, and delay the answer."""
        self._log.warning("login failed from %s (%s)", handler.request.remote_ip, what)
        mark_logged()
        await self.pause()

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

    async def hash(self, attempt: Attempt | None, function: Callable[..., Any], *args: object) -> Any:  # noqa: ANN401 - the function's
        """Call `function` in a thread, one call at a time. `attempt` None: of somebody logged in. Raises Busy."""
        stranger = attempt is not None and not attempt.known
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
