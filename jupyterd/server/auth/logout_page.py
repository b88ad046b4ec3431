"""The page /logout. identity_provider.py ends the login."""

from __future__ import annotations

from typing import Protocol, cast
from urllib.parse import urlsplit

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.auth.logout import LogoutHandler as JupyterLogoutHandler
from tornado import web
from tornado.httputil import HTTPHeaders


class LoginEnder(Protocol):
    """The part of identity_provider.IdentityProvider that the page uses; that module imports this one."""

    def log_out(self, handler: web.RequestHandler) -> str:
        """End the login whose cookie the request carries. Returns what is wrong, or ""."""


class LogoutHandler(JupyterLogoutHandler):
    """Handles /logout. The menus of Notebook and JupyterLab come here with GET, so this cannot ask for more than that
    the request is one of our own pages', or typed by a person.
    """

    @allow_unauthenticated
    def get(self) -> None:
        """End the login of this browser, and no other."""
        if not is_wanted(self.request.headers):
            raise web.HTTPError(
                403, "a page of another site, or an image, asks to log you out: use the menu of a page of this server"
            )
        problem = cast("LoginEnder", self.identity_provider).log_out(self)
        self.identity_provider.clear_login_cookie(self)
        message = {"warning": problem} if problem else {"info": "Successfully logged out."}
        self.write(self.render_template("logout.html", message=message))


def is_wanted(headers: HTTPHeaders) -> bool:
    """Whether a person meant a request that changes something: by Fetch Metadata, which browsers send over TLS since
    2023 (w3.org/TR/fetch-metadata), or by the Referer. A program, which sends neither, is believed.
    """
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in {"same-origin", "none"} and headers.get("Sec-Fetch-Dest", "document") in {"document", "empty"}
    referer = headers.get("Referer")
    return referer is None or urlsplit(referer).netloc.lower() == headers.get("Host", "").lower()
