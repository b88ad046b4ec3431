"""The words of the launcher: how a process ended, and why one could not be started. Plain data, no deeds."""

from __future__ import annotations

from dataclasses import dataclass


class LaunchFailed(Exception):  # noqa: N818 - past tense, like every event; the sentence in it is for the user
    """A process could not be started: one sentence that says what, where, and what to type."""


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a process ended; what is not known is None."""

    code: int | None = None
    """Exit code, when it exited by itself."""
    signal: str | None = None
    """"SIGKILL" and so on, when a signal ended it."""
    result: str = ""
    """systemd's own word for it ("oom-kill", "exit-code", ...), "" where systemd did not watch."""
