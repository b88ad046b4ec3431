"""Finds protections that the user's own Jupyter configuration has switched off, once Jupyter is configured.

It checks the settings that handlers will read, so that it does not matter in which file, by which class or by which
old name they were set.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

FOREIGN = "https://a-page-of-somebody-else.invalid"
"""An origin that no site has: a setting that accepts it accepts every origin."""
_OPENS = {
    "disable_check_xsrf": "lets pages of other sites act in your name",
    "allow_origin": "lets pages of every other site read and run what you can",
    "allow_unauthenticated_access": "answers requests without a login where an extension has forgotten to require one",
    "identity_provider_class": "lets everybody in without a login",
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
    if not getattr(settings.get("identity_provider"), "auth_enabled", False):
        found.append("identity_provider_class")
    return tuple(found)


def refusal(found: Iterable[str], allowed: Collection[str], directory: str) -> str:
    """Why the server must not start, in one sentence; "" if everything that is off is in `allowed`."""
    open_ = [name for name in found if name not in allowed]
    if not open_:
        return ""
    told = "; ".join(f"{name} {_OPENS[name]}" for name in open_)
    wanted = ", ".join(f'"{name}"' for name in sorted({*open_, *allowed}))
    return (
        f"the Jupyter configuration in {directory} leaves this server open: {told}. Delete it there; or, if you want "
        f"that, write allow_unsafe = [{wanted}] below [server] in jupyterd.toml"
    )


def _lets_all_in(settings: Mapping[str, Any]) -> bool:
    pattern = settings.get("allow_origin_pat")
    if settings.get("allow_origin") == "*" or (pattern is not None and pattern.match(FOREIGN)):
        return True
    headers = settings.get("headers") or {}
    return any(name.lower() == "access-control-allow-origin" and value == "*" for name, value in headers.items())
