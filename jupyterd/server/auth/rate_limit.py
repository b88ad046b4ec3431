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
from logging import Logger
from typing import Any, Literal

import attrs
from tornado import web

from jupyterd.linux import net
from jupyterd.server.auth import allowance
from jupyterd.server.auth.allowance import Allowance, Guess, Refusal

PAUSE_S = 1.0
"""Before a refusal is answered: eight that never tire then cost eight small answers a second."""
PAUSING_MOST = 64
"""More than these are answered at once: each is an open request."""
WAITING_MOST = 8
"""Hashes in one line, 0.1 s each."""
NICE = 10
"""What strangers' hashes leave to everybody else (setpriority(2), of one thread)."""
KNOWN_DAYS = 400
"""What browsers keep at most."""
_LOGGED = "jupyterd_logged"
_NO_NAME = re.compile(r"[^A-Za-z0-9]")


class Busy(Exception):  # noqa: N818 - it is what it is
    """Too many attempts wait for the hash thread."""


@attrs.frozen
class Attempt:
    """An attempt that is checked; `known`: the browser logged in before."""

    guess: Guess
    known: bool


class RateLimit:
    """One for a server. Owns two threads, so that a browser that logged in before never waits behind strangers."""

    def __init__(self, log: Logger, clock: Callable[[], float]) -> None:
        self._log = log
        self._clock = clock
        self._strangers = Allowance(allowance.PER_ADDRESS, allowance.STRANGERS_IN_ALL)
        self._known = Allowance(allowance.PER_ADDRESS, allowance.KNOWN_IN_ALL)
        self._stranger_hashes, self._hashes = _HashThread("login-strangers", NICE), _HashThread("login", 0)
        self._pausing = 0

    # --- allowances -------------------------------------------------------------------------------------------

    def admit(self, handler: web.RequestHandler) -> Attempt | Refusal:
        """May this one's guess be looked at? Failures only are counted: `give_back` ends that."""
        address = net.customer(str(handler.request.remote_ip))
        known = _known_as(handler)
        counted = self._strangers if known is None else self._known
        found = counted.admit(known or address, self._clock())
        if isinstance(found, Guess):
            return Attempt(found, known is not None)
        if found.first:
            who = f"from {address}" if known is None else f"of a browser that logged in before (at {address})"
            self._log.warning("logins %s are not looked at for %.0f s: too many failed", who, found.wait_s)
        return found

    def give_back(self, attempt: Attempt) -> None:
        """The credential was correct, or was not looked at: return the attempt to the allowance."""
        (self._known if attempt.known else self._strangers).give_back(attempt.guess)

    async def failed(self, handler: web.RequestHandler, what: Literal["password", "token"]) -> None:
        """Tell the log, in the form that etc/fail2ban/filter.d/jupyterd.conf reads, and take a little time."""
        self._log.warning("login failed from %s (%s)", handler.request.remote_ip, what)
        mark_logged(handler)
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
        """Off the event loop, one at a time. Busy if too many wait; without a attempt it is somebody who got in."""
        stranger = attempt is not None and not attempt.known
        return await (self._stranger_hashes if stranger else self._hashes).run(function, *args)


def remember(handler: web.RequestHandler, path: str, *, secure: bool) -> None:
    """Note in the browser that somebody logged in with it."""
    handler.set_signed_cookie(
        _name(handler), _known_as(handler) or secrets.token_urlsafe(12), expires_days=KNOWN_DAYS,
        path=path, secure=secure, httponly=True, samesite="Strict",
    )  # fmt: skip


def mark_logged(handler: web.RequestHandler) -> None:
    """A line about this request is in the log: the access log leaves it out."""
    vars(handler.request)[_LOGGED] = True


def is_logged(handler: web.RequestHandler) -> bool:
    """Whether this request's failed login was logged already (then it gets no access-log line)."""
    return _LOGGED in vars(handler.request)


def _known_as(handler: web.RequestHandler) -> str | None:
    value = handler.get_signed_cookie(_name(handler), max_age_days=KNOWN_DAYS)
    return None if value is None else value.decode("ascii", "replace")


def _name(handler: web.RequestHandler) -> str:
    """Cookies know no ports: another server of this host must not overwrite it."""
    return _NO_NAME.sub("-", f"known-{handler.request.host}")


class _HashThread:
    """One thread, and a bound on who waits for it."""

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
