"""Does a request carry the cookie of a login? Seen from its header alone, before anything of it is handled.

For the limits of connections only (http/connections.py): the handler authenticates the request again, in Jupyter's own
way. Tokens are not looked at: how a connection is treated would show a guesser what the login counts and limits.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from tornado.httputil import HTTPServerRequest
from tornado.web import decode_signed_value

from jupyterd.linux import files
from jupyterd.server.auth.identity_provider import IdentityProvider

SECRET_BYTES = 32
COOKIE_VERSION = 2
"""Tornado's format since 2014; one of the first version is only ever a forgery here, and is logged in full."""


@attrs.frozen
class _CookieRequest:
    """What IdentityProvider's methods need of a handler."""

    request: HTTPServerRequest
    secret: bytes

    def get_secure_cookie(self, name: str, **options: Any) -> bytes | None:  # noqa: ANN401 - tornado's
        """As RequestHandler has it."""
        cookie = self.request.cookies.get(name)
        options["min_version"] = COOKIE_VERSION
        value: bytes | None = decode_signed_value(self.secret, name, cookie.value, **options) if cookie else None
        return value


def secret(path: Path) -> bytes:
    """What signs the cookies, 32 bytes, kept in this file: a login outlives restarts and reboots. Made where
    there is none or an empty one, which Jupyter's own code would take.
    """
    kept = files.read_private(path) or b""
    if len(kept) < SECRET_BYTES:
        kept = os.urandom(SECRET_BYTES)
        files.replace_private(path, kept)
    return kept


def by(login: IdentityProvider, cookie_secret: bytes) -> Callable[[HTTPServerRequest], bool]:
    """BoundedHTTPServer.knows for this identity provider."""
    return lambda request: login.get_user_cookie(_CookieRequest(request, cookie_secret)) is not None  # type: ignore[arg-type]
