"""Tells from a request's header alone, before its body is read, whether it carries a login.

For the limits of connections and bodies (http/gate.py); the handler authenticates the request again, in Jupyter's own
way. The cookie is checked for each request. A token is checked only where the body is large, and then counts as a guess
like any other: how a request is treated would otherwise tell a guesser whether the token was right.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

import attrs
from tornado.httputil import HTTPServerRequest
from tornado.web import decode_signed_value

from jupyterd.linux import files, kept
from jupyterd.server.auth import allowance
from jupyterd.server.auth.identity_provider import TOO_MANY, IdentityProvider
from jupyterd.server.http.gate import Refusal

SECRET_BYTES = 32
COOKIE_VERSION = 2
"""Tornado's format since 2014; a cookie of the first version would be a forgery, which tornado logs in full."""


@attrs.frozen
class Header:
    """What IdentityProvider's methods need of a handler, with nothing but the header of a request."""

    request: HTTPServerRequest
    secret: bytes = attrs.field(repr=False)

    def get_secure_cookie(self, name: str, **options: Any) -> bytes | None:  # noqa: ANN401 - tornado's
        """RequestHandler.get_signed_cookie with this request and secret."""
        cookie = self.request.cookies.get(name)
        options["min_version"] = COOKIE_VERSION
        value: bytes | None = decode_signed_value(self.secret, name, cookie.value, **options) if cookie else None
        return value

    get_signed_cookie = get_secure_cookie

    def get_argument(self, name: str, default: str) -> str:
        """RequestHandler.get_argument, of the address only."""
        values = self.request.query_arguments.get(name)
        return values[-1].decode("utf-8", "replace").strip() if values else default


def secret(path: Path, tell: kept.Tell = kept.say) -> bytes:
    """The key that signs cookies, 32 bytes, kept in the file `path`, so that logins outlive restarts and reboots. A
    missing or empty file is written; Jupyter's own code would use the empty key.
    """
    try:
        found = files.read_private(path) or b""
    except ValueError as error:
        kept.set_aside(path, error, tell)
        found = b""
    if len(found) < SECRET_BYTES:
        found = os.urandom(SECRET_BYTES)
        with contextlib.suppress(OSError):  # a full disk: logins last as long as this server
            kept.write(path, found, tell)
    return found


def by_cookie(login: IdentityProvider, cookie_secret: bytes) -> Callable[[HTTPServerRequest], bool]:
    """A function for BoundedHTTPServer.knows: whether a request carries a valid login cookie of `login`."""
    return lambda request: login.get_user_cookie(Header(request, cookie_secret)) is not None  # type: ignore[arg-type]


def by_token(
    login: IdentityProvider, cookie_secret: bytes
) -> Callable[[HTTPServerRequest], Awaitable[Literal[True] | Refusal | None]]:
    """A function for BoundedHTTPServer.judge_token."""

    async def judge(request: HTTPServerRequest) -> Literal[True] | Refusal | None:
        match await login.judge_token(Header(request, cookie_secret)):  # type: ignore[arg-type]
            case allowance.TooMany(wait_s=wait_s):
                return Refusal(TOO_MANY, "Too Many Requests", "Too many wrong tokens: wait, see Retry-After.", wait_s)
            case False:
                return Refusal(403, "Forbidden", "The token is wrong.")
            case verdict:
                return verdict

    return judge
