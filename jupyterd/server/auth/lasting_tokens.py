"""The lasting tokens of `jupyterd token --lasting`: which are in force, which logins they made, when each was used."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from jupyter_server.auth.identity import User

from jupyterd.settings import login_store
from jupyterd.settings.login_store import StoredLogin

_NOTED_EVERY_S = 60.0
"""How often the last use of one is written to disk, at most."""
_PREFIX = "lasting-"
"""Begins the user name of a login with one: its id follows, then "-"."""


class LastingTokens:
    """`stored` returns what login.json holds now, `store` where it is."""

    def __init__(self, stored: Callable[[], StoredLogin], store: Callable[[], Path]) -> None:
        self._stored, self._store = stored, store
        self._noted: dict[str, float] = {}

    @property
    def ids(self) -> tuple[str, ...]:
        """Of those that are in force."""
        return tuple(each.id for each in self._stored().lasting)

    def __contains__(self, typed: str) -> bool:
        return login_store.lasting(self._stored(), typed) is not None

    def user_of(self, user: User, typed: str) -> User:
        """The user of a login with this secret. One with a lasting token ends when that is revoked."""
        of = login_store.lasting(self._stored(), typed)
        return user if of is None else replace(user, username=f"{_PREFIX}{of.id}-{user.username}")

    def is_revoked(self, login: str) -> bool:
        """Whether the login with this user name was made with a token that is no longer in force."""
        return login.startswith(_PREFIX) and login.removeprefix(_PREFIX).partition("-")[0] not in self.ids

    def note_use(self, typed: str) -> None:
        """Keep when it was used, for `jupyterd token --list`."""
        of, now = login_store.lasting(self._stored(), typed), time.monotonic()
        if of is None or now - self._noted.get(of.id, -_NOTED_EVERY_S) < _NOTED_EVERY_S:
            return
        self._noted[of.id] = now
        with suppress(OSError):  # a full disk: the list shows an older use
            login_store.note_use(self._store(), of, self._stored())
