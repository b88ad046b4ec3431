"""How one logs in to the server of a state directory: by password, by a token of the user's own, or a one-time token.

Reads what the planner wrote (live.json) and what the browser set (login.json).
"""

from __future__ import annotations

import json
from typing import Any

import attrs

from jupyterd.cli.banner import Login, OwnToken, Password, Token, TokenHidden
from jupyterd.linux import files
from jupyterd.settings import login_store
from jupyterd.settings.paths import Paths


@attrs.frozen
class Entrance:
    """Which ways to log in exist: a password fixed by the settings, one set in the browser or by `jupyterd password`, a
    lasting token in the settings; and whether the browser may change the password.
    """

    fixed: bool
    browsers: bool
    own_token: bool
    may_change: bool


def read(paths: Paths) -> Entrance:
    """Read both files. If there are none: no password, no token, and the browser may set a password. Raises OSError or
    ValueError, which says what is wrong with a file.
    """
    data = files.read_private(paths.live)
    live: dict[str, Any] = {} if data is None else json.loads(data)
    return Entrance(
        fixed=bool(live.get("password_hash")),
        browsers=login_store.has_password(paths.login),
        own_token=bool(live.get("token")),
        may_change=bool(live.get("allow_password_change", True)),
    )


def first(paths: Paths, *, terminal: bool) -> Login:
    """For the banner at a start: a new one-time token if there is no other way to log in, and a terminal to show it."""
    found = read(paths)
    if found.fixed or found.browsers:
        return Password()
    if found.own_token:
        return OwnToken()
    return issue(paths, found) if terminal else TokenHidden()


def issue(paths: Paths, found: Entrance) -> Token:
    """Make a new one-time token. Earlier ones stop working."""
    token = login_store.issue_token(paths.login)
    if found.fixed or not found.may_change:
        return Token(token, "once")
    return Token(token, "resets" if found.browsers else "first")
