"""How one logs in to the server of a state directory: by password, by a token of the user's own, or a one-time token.

Reads what the planner wrote (live.json) and what the browser set (login.json).
"""

from __future__ import annotations

import json
from typing import Any

import attrs

from jupyterd.cli.banner import Login, OwnToken, Password, Token, Untold
from jupyterd.linux import files
from jupyterd.settings import login_store
from jupyterd.settings.paths import Paths


@attrs.frozen
class Entrance:
    """What there is: a password fixed by the settings, one set in the browser, a lasting token; and what is allowed."""

    fixed: bool
    browsers: bool
    own_token: bool
    may_change: bool


def read(paths: Paths) -> Entrance:
    """OSError or ValueError says what is wrong with a file. No file is none of all, and a password may be set."""
    data = files.read_private(paths.live)
    live: dict[str, Any] = {} if data is None else json.loads(data)
    return Entrance(
        fixed=bool(live.get("password_hash")),
        browsers=login_store.has_password(paths.login),
        own_token=bool(live.get("token")),
        may_change=bool(live.get("allow_password_change", True)),
    )


def first(paths: Paths, *, terminal: bool) -> Login:
    """For the banner of a start: a new one-time token only if there is no other way in, and only for a terminal."""
    found = read(paths)
    if found.fixed or found.browsers:
        return Password()
    if found.own_token:
        return OwnToken()
    return issue(paths, found) if terminal else Untold()


def issue(paths: Paths, found: Entrance) -> Token:
    """A new one-time token; an older one is dead from now on."""
    token = login_store.issue_token(paths.login)
    if found.fixed or not found.may_change:
        return Token(token, "once")
    return Token(token, "resets" if found.browsers else "first")
