"""Security headers on every response of every handler, including those of extensions and errors; the XSRF cookie.

A header that a handler or the user's own Jupyter configuration has set is kept.
"""

from __future__ import annotations

from collections import UserDict

from tornado import httputil, web

from jupyterd.server.http.caller import CALLER

CAREFUL = {
    "X-Content-Type-Options": "nosniff",
    # No page of another site may show ours in a frame and have clicks made in it.
    "Content-Security-Policy": "frame-ancestors 'self'",
    # Nothing stricter: videos that notebooks embed do not play without the origin. Path and query stay here.
    "Referrer-Policy": "strict-origin-when-cross-origin",
}
"""No Strict-Transport-Security: it would apply to every port of the host name and break whatever else this machine
serves over plain HTTP. The TLS port redirects plain HTTP to https anyway, and cookies are Secure.
"""


class SecurityHeaders(web.OutputTransform):
    """Tornado's hook (Application.add_transform)."""

    def __init__(self, _request: httputil.HTTPServerRequest) -> None:
        pass

    def transform_first_chunk(
        self,
        status_code: int,
        headers: httputil.HTTPHeaders,
        chunk: bytes,
        finishing: bool,  # noqa: ARG002, FBT001 - tornado's signature
    ) -> tuple[int, httputil.HTTPHeaders, bytes]:
        """Tornado's hook: add the headers that are missing."""
        for name, value in CAREFUL.items():
            headers.setdefault(name, value)
        return status_code, headers, chunk


class XsrfCookie(UserDict[str, str | bool]):
    """Tornado's setting xsrf_cookie_kwargs: Secure where a request came over TLS, to us or to a trusted proxy. A
    dictionary, because tornado itself adds to it.
    """

    def __init__(self, path: str) -> None:
        super().__init__({"path": path, "samesite": "Lax", "secure": False})

    def __getitem__(self, name: str) -> str | bool:
        caller = CALLER.get()
        return caller.secure if name == "secure" and caller is not None else super().__getitem__(name)
