"""Tells from a request's header alone, before the request is handled, whether it carries the cookie of a login.

For the limits of connections only (http/connections.py): the handler authenticates the request again, in Jupyter's own
way. Tokens are not checked here: how a connection is treated would tell a guesser whether the token was right.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from tornado.httputil import HTTPServerRequest
from tornado.web import decode_signed_value

from jupyterd.linux import files, kept
from jupyterd.server.auth.identity_provider import IdentityProvider

SECRET_BYTES = 32
COOKIE_VERSION = 2
"""Tornado's format since 2014; a cookie of the first version would be a forgery, which tornado logs in full."""


@attrs.frozen
class _CookieRequest:
    """What IdentityProvider's methods need of a handler."""

    request: HTTPServerRequest
    secret: bytes

    def get_secure_cookie(self, name: str, **options: Any) -> bytes | None:  # noqa: ANN401 - tornado's
        """RequestHandler.get_signed_cookie with this request and secret."""
        cookie = self.request.cookies.get(name)
        options["min_version"] = COOKIE_VERSION
        value: bytes | None = decode_signed_value(self.secret, name, cookie.value, **options) if cookie else None
        return value


def secret(path: Path) -> bytes:
    """The key that signs cookies, 32 bytes, kept in the file `path`, so that logins outlive restarts and reboots. A
    missing or empty file is written; Jupyter's own code would use the empty key.
    """
    try:
        found = files.read_private(path) or b""
    except ValueError as error:
        kept.set_aside(path, error)
        found = b""
    if len(found) < SECRET_BYTES:
        found = os.urandom(SECRET_BYTES)
        with contextlib.suppress(OSError):  # a full disk: logins last as long as this server
            kept.write(path, found)
    return found


def by(login: IdentityProvider, cookie_secret: bytes) -> Callable[[HTTPServerRequest], bool]:
    """A function for BoundedHTTPServer.knows: whether a request carries a valid login cookie of `login`."""
    return lambda request: login.get_user_cookie(_CookieRequest(request, cookie_secret)) is not None  # type: ignore[arg-type]
