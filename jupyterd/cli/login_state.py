"""How one logs in to the server of a state directory: by password, by a token of the user's own, or a one-time token.

Reads what the planner wrote (live.json) and what the browser set (login.json).
"""

from __future__ import annotations

from typing import Any

import attrs

from jupyterd.cli.banner import Login, OwnToken, Password, Token, TokenHidden
from jupyterd.linux import files, kept
from jupyterd.protocol import documents
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
    """Read both files. If there are none: no password, no token, and the browser may set a password. A damaged file is
    told on standard error, and login.json set aside; the planner writes live.json again. OSError.
    """
    live: dict[str, Any] = {}
    try:
        if (data := files.read_private(paths.live)) is not None:
            live = documents.document(data)
    except ValueError as error:
        kept.say(f"{paths.live} is damaged ({error}); to write it again, type: jupyterd reload")
    return Entrance(
        fixed=bool(live.get("password_hash")),
        browsers=bool(login_store.read_or_set_aside(paths.login).password_hash),
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
