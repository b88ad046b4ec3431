"""Whether a request carries the cookie of a login, told from its header alone, before anything of it is handled.

For the allowances of connections only (guests.py): whoever handles the request asks again, in Jupyter's own way. Tokens
are not looked at: how a connection is treated would tell a guesser what the login counts and limits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from tornado.httputil import HTTPServerRequest
from tornado.web import decode_signed_value

from jupyterd.server.auth.identity_provider import IdentityProvider

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


def by(door: IdentityProvider, cookie_secret: bytes) -> Callable[[HTTPServerRequest], bool]:
    """BoundedHTTPServer.knows for this identity provider."""
    return lambda request: door.get_user_cookie(_CookieRequest(request, cookie_secret)) is not None  # type: ignore[arg-type]
