"""`--since today`, `7d`, `2026-11-01`: a moment in the past as people say it, in this machine's own time zone."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

WORDS = "now, today, yesterday, 90m, 12h, 7d, 4w, 2026-11-01, 2026-11-01 18:30"
_SPAN = re.compile(r"(\d{1,6})\s*(m|min|h|d|w)")
_UNITS = {"m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_FORMS = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")


def past(said: str, now: float) -> float:
    """Unix seconds of what was said. ValueError with the sentence to print when it is no moment, or none yet."""
    text = said.strip().lower()
    midnight = datetime.fromtimestamp(now).astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    if text == "now":
        return now
    if text == "today":
        return midnight.timestamp()
    if text == "yesterday":
        day = midnight.replace(tzinfo=None) - timedelta(days=1)
        return day.timestamp()  # the clocks may have been changed in between
    if match := _SPAN.fullmatch(text.removesuffix(" ago")):
        return now - int(match[1]) * _UNITS[match[2]]
    for form in _FORMS:
        try:
            moment = datetime.strptime(said.strip().upper(), form).timestamp()  # noqa: DTZ007 - local time is meant
        except (ValueError, OverflowError, OSError):
            continue
        if moment > now:
            raise ValueError(f"{said} is still to come")
        return moment
    raise ValueError(f"{said!r} is no moment that is known here; allowed are {WORDS}")
