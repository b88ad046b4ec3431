"""Finds protections that an extension or the user's own Jupyter configuration has switched off.

It checks the settings that handlers will read, so that it does not matter in which file, by which class or by which
old name they were set.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from jupyterd.server.auth.identity_provider import IdentityProvider
from jupyterd.server.auth.login_page import LoginHandler

FOREIGN = "https://a-page-of-somebody-else.invalid"
"""An origin that no site has: a setting that accepts it accepts every origin."""
_OPENS = {
    "disable_check_xsrf": "lets pages of other sites act in your name",
    "allow_origin": "lets pages of every other site read and run what you can",
    "allow_unauthenticated_access": "answers requests without a login where an extension has forgotten to require one",
    "identity_provider_class": "replaces jupyterd's login, which alone decides who gets in",
}


def switched_off(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Jupyter's names of the protections that are off, from the web application's settings."""
    found = []
    if settings.get("disable_check_xsrf") or not settings.get("xsrf_cookies", True):
        found.append("disable_check_xsrf")
    if _lets_all_in(settings):
        found.append("allow_origin")
    if settings.get("allow_unauthenticated_access"):
        found.append("allow_unauthenticated_access")
    if not _is_guarded(settings.get("identity_provider")):
        found.append("identity_provider_class")
    return tuple(found)


def refusal(found: Iterable[str], allowed: Collection[str], who: Callable[[str], str]) -> str:
    """Why the server must not start, in one sentence; "" if everything that is off is in `allowed`. `who` has switched
    off the protection with this name.
    """
    open_ = [name for name in found if name not in allowed]
    if not open_:
        return ""
    told = "; ".join(f"{who(name)} sets {name}, which {_OPENS[name]}" for name in open_)
    wanted = ", ".join(f'"{name}"' for name in sorted({*open_, *allowed}))
    return (
        f"this server would be open: {told}. Remove that; or, if you want it, write allow_unsafe = [{wanted}] below "
        "[server] in jupyterd.toml"
    )


def _is_guarded(provider: object) -> bool:
    if not isinstance(provider, IdentityProvider) or not provider.auth_enabled:
        return False
    page: object = provider.login_handler_class
    return isinstance(page, type) and issubclass(page, LoginHandler)


def _lets_all_in(settings: Mapping[str, Any]) -> bool:
    pattern = settings.get("allow_origin_pat")
    if settings.get("allow_origin") == "*" or (pattern is not None and pattern.match(FOREIGN)):
        return True
    headers = settings.get("headers") or {}
    return any(name.lower() == "access-control-allow-origin" and value == "*" for name, value in headers.items())
