"""Jupyter's identity provider: the password, the lasting token, and the one-time token that sets a first password.

Logins outlive this process, in signed cookies; only the counts of failed attempts are kept in memory.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import math
import time
from pathlib import Path
from typing import Any

from jupyter_server.auth.identity import PasswordIdentityProvider, User
from jupyter_server.auth.security import passwd, passwd_check
from tornado import web, websocket
from traitlets import default

from jupyterd.linux import kept
from jupyterd.linux.kept import Tell
from jupyterd.server.auth import rate_limit
from jupyterd.server.auth.allowance import TooMany
from jupyterd.server.auth.lasting_tokens import LastingTokens
from jupyterd.server.auth.login_page import Answer, LoginHandler
from jupyterd.server.auth.logout_page import LogoutHandler
from jupyterd.server.auth.logouts import Logouts
from jupyterd.server.auth.open_websockets import OpenWebsockets
from jupyterd.server.auth.rate_limit import Busy, RateLimit
from jupyterd.server.http.caller import CALLER
from jupyterd.server.http.log_limit import BOUNDED
from jupyterd.server.live_settings import LiveSettings
from jupyterd.settings import login_store
from jupyterd.settings.login_store import StoredLogin
from jupyterd.text import plural

FORBIDDEN, TOO_MANY, UNAVAILABLE = 403, 429, 503
COOKIE_DAYS = 31
"""How long tornado accepts a signed cookie (RequestHandler.get_signed_cookie), unless the configuration says so."""

_ONE_TIME = (
    "this is the one-time token, for a login in a browser. For a program, type on the server: jupyterd token --lasting"
)
_HOW_TO_GET_ONE = "For a new one, type on the server: jupyterd token"


class IdentityProvider(PasswordIdentityProvider):
    """ServerApp.identity_provider_class. `token` stays empty: Jupyter shows that one in pages, files and logs."""

    live: LiveSettings
    """Set by the application, and again on Reload."""
    store: Path
    """login.json."""
    logouts: Logouts
    damaged: Tell = staticmethod(kept.say)
    """Gets a sentence when the file `store` was set aside. Set by the application."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - traitlets' own
        super().__init__(**options)
        self._stored: tuple[tuple[int, ...], StoredLogin] = ((), StoredLogin())
        # What it has to say is told also where a stranger's request is the first to notice it.
        self._own_log = logging.LoggerAdapter(self.log, BOUNDED)
        self._rate_limit = RateLimit(self._own_log, time.monotonic)
        self._websockets = OpenWebsockets(self._is_in_force)
        self._in_force: tuple[str, ...] | None = None
        self._lasting = LastingTokens(lambda: self.stored, lambda: self.store)
        self._unread = ""

    @default("token")
    def _token_default(self) -> str:
        return ""

    @default("cookie_options")
    def _cookie_options_default(self) -> dict[str, Any]:
        return {"samesite": "Lax"}  # not "Strict": a link to a notebook, from elsewhere, would lead to the login page

    @default("login_handler_class")
    def _login_handler_class_default(self) -> type[web.RequestHandler]:
        return LoginHandler

    @default("logout_handler_class")
    def _logout_handler_class_default(self) -> type[web.RequestHandler]:
        return LogoutHandler

    @property
    def auth_enabled(self) -> bool:
        """Jupyter's hook: always True."""
        return True

    @property
    def stored(self) -> StoredLogin:
        """The content of login.json; costs one stat(2) while the file does not change. While it cannot be read, what it
        held before: a disk that fails for a moment logs nobody out.
        """
        try:
            mark = _mark(self.store)
            if mark != self._stored[0]:
                self._stored = (mark, login_store.read_or_set_aside(self.store, self.damaged))
        except OSError as error:
            if str(error) != self._unread:
                self._unread = str(error)
                self._own_log.error("%s", error)
        return self._stored[1]

    @property
    def fixed_password(self) -> str:
        """The hash that the settings (or the user's own Jupyter configuration) give; wins over the browser's."""
        return self.live.password_hash or self.hashed_password

    @property
    def password(self) -> str:
        """The hash of the password in force, or ""."""
        return self.fixed_password or self.stored.password_hash

    @property
    def lasting_token(self) -> str:
        """The token from the settings (or the user's own Jupyter configuration); "" for none."""
        return self.live.token or self.token

    @property
    def has_lasting_token(self) -> bool:
        """Whether there is one, in the settings or of `jupyterd token --lasting`."""
        return bool(self.lasting_token or self._lasting.ids)

    @property
    def may_set_password(self) -> bool:
        """Whether a password may be set in the browser, with the one-time token."""
        return self.live.allow_password_change and not self.fixed_password

    @property
    def must_set_password(self) -> bool:
        """Whether a one-time token logs in only together with a new password: there is no other way to log in later."""
        return self.may_set_password and not self.password and not self.lasting_token

    # --- requests ---------------------------------------------------------------------------------------------

    def look_again(self) -> None:
        """If the password or the lasting token has changed, end the logins and websockets of the old one."""
        now = (self._generation(), *self._lasting.ids)
        if now == self._in_force:
            return
        changed, self._in_force = self._in_force is not None, now
        if changed:
            closed = self._websockets.close_ended()
            open_ones = f": closed {plural(closed, 'open websocket')}" if closed else ""
            self._own_log.info("the password or a token was changed%s", open_ones)

    def get_user(self, handler: web.RequestHandler) -> Any:  # noqa: ANN401 - Jupyter's own union
        """Jupyter's hook, for each request."""
        self.look_again()
        return self._get_user_here(handler)

    async def _get_user_here(self, handler: web.RequestHandler) -> User | None:
        mark = self._generation()
        found = super().get_user(handler)
        user = found if isinstance(found, User) or found is None else await found
        if user is not None:
            _recognise_caller()
        if user is not None and isinstance(handler, websocket.WebSocketHandler):
            self._websockets.add(handler, mark, user.username)
        return user

    async def get_user_token(self, handler: web.RequestHandler) -> User | None:
        """Jupyter's hook: `Authorization: token X` or `?token=X`, a lasting token only."""
        typed = self.get_token(handler) or ""
        known = self.get_user_cookie(handler)
        if isinstance(known, User):  # the cookie is valid by itself, nothing is guessed
            return known if self._is_lasting(typed) else None
        match await self.judge_token(handler):
            case TooMany() as refusal:
                raise _too_many(handler, refusal)
            case True:
                return self._lasting.user_of(self.generate_anonymous_user(handler), typed)
        if typed and login_store.judge(self.stored, typed) != "wrong":
            raise _one_time(handler)
        return None

    async def judge_token(self, handler: web.RequestHandler) -> bool | TooMany | None:
        """Whether the request carries a lasting token; None: it carries none, or there is none. A wrong one counts,
        and is answered late. Needs no more of the handler than header_login.Header has.
        """
        typed = self.get_token(handler)
        if not typed or not self.has_lasting_token:
            return None
        caller = CALLER.get()
        if caller is not None and caller.token and _same(typed, caller.token) and self._is_lasting(typed):
            return True  # as the header of this request was found before its body was read
        if login_store.judge(self.stored, typed) != "wrong":
            return None  # no guess: somebody has taken the one-time token for a lasting one

        async def check(_stranger: bool) -> bool:  # noqa: FBT001 - rate_limit.Check
            return self._is_lasting(typed)

        verdict = await self._rate_limit.judge(handler, "token", f"token {self._in_force} {typed}", check)
        if verdict is True:
            self._lasting.note_use(typed)
            if caller is not None:
                caller.token = typed
        return verdict

    def _is_lasting(self, typed: str) -> bool:
        """Whether this is a lasting token: the one in the settings, or one of `jupyterd token --lasting`."""
        own = self.lasting_token
        return bool(own and typed and _same(typed, own)) or typed in self._lasting

    def set_login_cookie(self, handler: web.RequestHandler, user: User) -> None:
        """Jupyter's hook, after each login."""
        _recognise_caller()
        super().set_login_cookie(handler, user)
        rate_limit.remember(handler, handler.base_url, secure=handler.request.protocol == "https")  # type: ignore[attr-defined]

    def user_to_cookie(self, user: User) -> str:
        """Jupyter's hook. The cookie names the generation of the password, so a change of the password ends it."""
        return f"{self._generation()}:{super().user_to_cookie(user)}"

    def user_from_cookie(self, cookie_value: str) -> User | None:
        """Jupyter's hook."""
        generation, _, user = cookie_value.partition(":")
        if not _same(generation, self._generation()):
            return None
        found = super().user_from_cookie(user)
        ended = found is None or found.username in self.logouts or self._lasting.is_revoked(found.username)
        return None if ended else found

    def log_out(self, handler: web.RequestHandler) -> str:
        """End the login whose cookie the request carries, with every copy of it. Returns what is wrong, or ""."""
        user = self.get_user_cookie(handler)
        if not isinstance(user, User):
            return ""
        problem = ""
        try:
            self.logouts.add(user.username, self.get_secure_cookie_kwargs.get("max_age_days", COOKIE_DAYS))
        except OSError as error:
            problem = (
                f"This login has ended here, but could not be noted for the next server: {kept.unwritable(error)}."
            )
            self._own_log.error("%s", problem)
        closed = self._websockets.close_ended()
        self._own_log.info("logged out at %s: closed %d open websockets", handler.request.remote_ip, closed)
        return problem

    def _is_in_force(self, generation: str, login: str) -> bool:
        return (
            _same(generation, self._generation()) and login not in self.logouts and not self._lasting.is_revoked(login)
        )

    def cookie_secret_hook(self, h: Any) -> Any:  # noqa: ANN401 - an hmac.HMAC in Jupyter's hook
        """Jupyter's hook. Stock mixes in the password as it was at start; cookies name it instead (user_to_cookie)."""
        return h

    def _generation(self) -> str:
        # It includes the lasting token, so that replacing a leaked token ends the logins that used it.
        of = f"{self.password} {self.lasting_token}" if self.lasting_token else self.password
        return hashlib.sha256(b"jupyterd " + of.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    # --- the login form ---------------------------------------------------------------------------------------

    async def judge(self, handler: web.RequestHandler) -> Answer:
        """Check the login form, whose field `password` holds a password or a token."""
        typed = handler.get_body_argument("password", "", strip=False).strip("\r\n")
        new = handler.get_body_argument("new_password", "", strip=False)
        again = handler.get_body_argument("new_password_again", "", strip=False)
        most = login_store.PASSWORD_MOST
        if not 0 < len(typed) <= most:
            return Answer(None, f"Type the password or the token: 1 to {most} characters.")
        # The one-time token is checked regardless of the rate limit: its 192 bits cannot be guessed, and with it the
        # owner can log in from any browser at any time.
        match login_store.judge(self.stored, typed.strip()):
            case "fresh":
                return await self._use_token(handler, typed.strip(), new, again)
            case "used":
                return Answer(None, f"This one-time token has already been used. {_HOW_TO_GET_ONE}")
        return await self._guess(handler, typed, new + again)

    async def _guess(self, handler: web.RequestHandler, typed: str, new: str) -> Answer:
        """Check `typed` as the password or the lasting token."""

        async def check(stranger: bool) -> bool:  # noqa: FBT001 - rate_limit.Check
            return not new and await self._is_known(typed, stranger=stranger)

        secret = f"{'new ' if new else ''}password {self._in_force} {typed}"
        try:
            verdict = await self._rate_limit.judge(handler, "password", secret, check)
        except Busy:
            return Answer(None, "Too many logins at this moment. Try again.", UNAVAILABLE, 1.0)
        if isinstance(verdict, TooMany):
            problem = f"Too many wrong passwords. Wait {math.ceil(verdict.wait_s)} s. {_HOW_TO_GET_ONE}"
            return Answer(None, problem, TOO_MANY, verdict.wait_s)
        if verdict:
            self._lasting.note_use(typed.strip())
            return Answer(self._lasting.user_of(self.generate_anonymous_user(handler), typed.strip()))
        if new:
            return Answer(None, f"Setting a new password needs a one-time token. {_HOW_TO_GET_ONE}")
        wrong = "Wrong password or token." if self.password else f"Wrong token. {_HOW_TO_GET_ONE}"
        return Answer(None, wrong)

    async def _is_known(self, typed: str, *, stranger: bool) -> bool:
        if self._is_lasting(typed.strip()):
            return True
        hashed = self.password
        return bool(hashed) and bool(await self._rate_limit.hash(_fits, hashed, typed, stranger=stranger))

    async def _use_token(self, handler: web.RequestHandler, token: str, new: str, again: str) -> Answer:
        if fault := self._new_password_fault(new, again):
            return Answer(None, f"{fault} The token is still valid.", token=token)
        try:
            hashed = await self._rate_limit.hash(passwd, new) if new else None
            verdict = await self._rate_limit.hash(login_store.consume, self.store, token, hashed, self.damaged)
        except Busy:
            return Answer(None, "Too many logins at this moment. Try again.", UNAVAILABLE, 1.0, token)
        if verdict != "fresh":
            return Answer(None, f"This one-time token has just been used. {_HOW_TO_GET_ONE}")
        self._own_log.info("the one-time token was used%s", " and a password was set" if new else "")
        self.look_again()
        return Answer(self.generate_anonymous_user(handler))

    def _new_password_fault(self, new: str, again: str) -> str:
        """Why the one-time token does not log in with this new password, twice typed ("": none); "" if it does."""
        if new != again:
            return "The two passwords differ."
        if new and not self.may_set_password:
            return f"No password is set here: {self._why_not()}. Log in with the token alone."
        if not new and self.must_set_password:
            return f"The token works only once: choose a password of at least {login_store.PASSWORD_LEAST} characters."
        return login_store.password_fault(new) if new else ""

    def _why_not(self) -> str:
        if self.fixed_password:
            return "the settings of this server fix it ([login] password_hash)"
        return "the settings of this server do not allow it ([login] allow_password_change)"


def _recognise_caller() -> None:
    """The lines of this request are the owner's from here on."""
    caller = CALLER.get()
    if caller is not None:
        caller.known = True


def _mark(path: Path) -> tuple[int, ...]:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return (0,)
    return found.st_ino, found.st_mtime_ns, found.st_size


def _fits(hashed: str, typed: str) -> bool:
    """Whether `typed` is the password. Nothing is, where the hash was damaged."""
    try:
        return bool(passwd_check(hashed, typed))
    except (ValueError, TypeError):
        return False


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


def _too_many(handler: web.RequestHandler, refusal: TooMany) -> web.Finish:
    """The answer to a request whose token was not checked: 429 with Retry-After."""
    handler.set_status(TOO_MANY)
    handler.set_header("Retry-After", str(math.ceil(refusal.wait_s)))
    handler.set_header("Content-Type", "application/json")
    return web.Finish(b'{"message": "too many wrong tokens: wait, see Retry-After", "reason": null}')


def _one_time(handler: web.RequestHandler) -> web.Finish:
    """The answer to a program that was given the one-time link."""
    handler.set_status(FORBIDDEN, "One-time token: type jupyterd token --lasting")
    handler.set_header("Content-Type", "application/json")
    return web.Finish(json.dumps({"message": _ONE_TIME, "reason": None}).encode())
