"""Who caused what happens now: the request in whose context code runs. gate.py sets it, the log and the login read it.

A context variable, because neither a log record nor Jupyter's hooks say which request they belong to.
"""

from __future__ import annotations

from contextvars import ContextVar

import attrs


@attrs.define(eq=False)
class Caller:
    """A request, or a connection before its first one."""

    known: bool = False
    """Whether it carries a valid login."""
    secure: bool = False
    """Whether it came over TLS."""
    told: bool = False
    """Whether the log has a line about it: a stranger's request gets one."""
    token: str = attrs.field(default="", repr=False)
    """The lasting token, once found right in the header of this request."""


CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)
"""None: the server's own work."""
