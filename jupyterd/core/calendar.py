"""Dates for people, from monotonic time and the clock that the loop brings; no locale, no time zone database."""

from __future__ import annotations

from jupyterd.core.events import WallClock

DAY_S = 86400
_WEEKDAYS = ("Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed")  # 1 January 1970 was a Thursday


def unix(now: float, clock: WallClock) -> float:
    """Unix seconds at the monotonic time `now`."""
    return now + clock.wall_offset_s


def date(unix_s: float, clock: WallClock) -> str:
    """Local time as systemctl prints it: "Sun 2026-11-22 19:05"."""
    days, second = divmod(int(unix_s) + clock.utc_offset_s, DAY_S)
    year, month, day = _civil(days)
    hour, minute = divmod(second // 60, 60)
    return f"{_WEEKDAYS[days % 7]} {year:04}-{month:02}-{day:02} {hour:02}:{minute:02}"


def _civil(days: int) -> tuple[int, int, int]:
    """Days since 1970-01-01 to year, month, day (Howard Hinnant, "chrono-compatible low-level date algorithms")."""
    era, day_of_era = divmod(days + 719468, 146097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9  # noqa: PLR2004 - March is month 0 of the shifted year
    return year_of_era + era * 400 + (month <= 2), month, day_of_year - (153 * shifted + 2) // 5 + 1  # noqa: PLR2004
