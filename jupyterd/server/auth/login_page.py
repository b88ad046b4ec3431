"""The page /login: its form, and the request that the form sends. identity_provider.py decides who gets in."""

from __future__ import annotations

import math
import secrets
from functools import cached_property
from http import HTTPStatus
from typing import Protocol, cast
from urllib.parse import urlsplit

import attrs
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.auth.identity import User
from jupyter_server.auth.login import LoginFormHandler
from tornado import web

from jupyterd.settings.login_store import PASSWORD_LEAST, PASSWORD_MOST, StoredLogin


@attrs.frozen
class Answer:
    """The result of checking a login form: the user, or the sentence to show."""

    user: User | None
    problem: str = ""
    status: int = HTTPStatus.UNAUTHORIZED
    retry_after_s: float = 0.0
    token: str = ""
    """The one-time token that was typed and is still valid: the form keeps it."""


class FormLogin(Protocol):
    """The part of identity_provider.IdentityProvider that the page uses; that module imports this one."""

    @property
    def stored(self) -> StoredLogin:
        """The content of login.json."""

    @property
    def password(self) -> str:
        """The hash in force, or ""."""

    @property
    def has_lasting_token(self) -> bool:
        """Whether there is a lasting token, for programs."""

    @property
    def may_set_password(self) -> bool:
        """Whether a password may be set with a one-time token."""

    @property
    def must_set_password(self) -> bool:
        """Whether a one-time token logs in only together with a new password: there is no other way to log in later."""

    async def judge(self, handler: web.RequestHandler) -> Answer:
        """Check the form."""

    def set_login_cookie(self, handler: web.RequestHandler, user: User) -> None:
        """Set the login cookie on the response."""


def may_go_to(address: bytes) -> bool:
    """Whether Jupyter's LoginFormHandler can make a Location header of it, or of what it falls back to."""
    text = address.decode("latin-1")
    scheme, colon, rest = text.partition(":")
    try:
        urlsplit(f"{scheme}://{rest.lstrip('/')}" if colon else text)  # as its _redirect_safe writes it
    except ValueError:
        return False
    return not any(each < " " or each == "\x7f" for each in text)


class LoginHandler(LoginFormHandler):
    """Handles /login: shows the form and processes it."""

    @cached_property
    def nonce(self) -> str:
        """The nonce of this response, which the page's own script and style carry."""
        return secrets.token_urlsafe(16)

    @property
    def content_security_policy(self) -> str:
        """Jupyter's hook: this page runs its own few lines and loads nothing from elsewhere."""
        return (
            f"default-src 'none'; script-src 'nonce-{self.nonce}'; style-src 'nonce-{self.nonce}'; "
            "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )

    def set_default_headers(self) -> None:
        """Tornado's hook."""
        super().set_default_headers()
        self.set_header("Cache-Control", "no-store")
        # Not "no-referrer": with it a browser posts the form with `Origin: null`, which Jupyter treats as foreign.
        self.set_header("Referrer-Policy", "same-origin")

    async def prepare(self) -> None:  # type: ignore[override]  # as Jupyter's own
        """Tornado's hook: an address that cannot be gone to is refused before anything else is done."""
        await super().prepare()
        for each in self.request.arguments.get("next", ()):
            if not may_go_to(each):
                raise web.HTTPError(400, "next is not an address of this server")

    @allow_unauthenticated
    async def post(self) -> None:
        """Process the form: log in and redirect, or show it again with the problem."""
        login = cast("FormLogin", self.identity_provider)
        answer = await login.judge(self)
        if answer.user is None:
            self.set_status(answer.status)
            if answer.retry_after_s:
                self.set_header("Retry-After", str(math.ceil(answer.retry_after_s)))
            self._render(answer.problem, answer.token)
            return
        self.current_user = answer.user
        login.set_login_cookie(self, answer.user)
        self._redirect_safe(self.get_argument("next", default=self.base_url))

    def _render(self, message: str | None = None, token: str = "") -> None:
        login = cast("FormLogin", self.identity_provider)
        waiting = bool(login.stored.token_sha256)
        self.write(
            self.render_template(
                "login.html",
                next=self.get_argument("next", default=self.base_url),
                problem=message,
                valid_token=token,
                nonce=self.nonce,
                has_password=bool(login.password),
                has_token=waiting,
                has_lasting_token=login.has_lasting_token,
                may_set_password=waiting and login.may_set_password,
                must_set_password=waiting and login.must_set_password,
                shortest=PASSWORD_LEAST,
                longest=PASSWORD_MOST,
            )
        )
