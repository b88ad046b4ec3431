"""Text forms of sizes, lengths of time, dates and fingerprints: one form each, used everywhere.

Pure: no clock, no locale, no time zone database. linux/local_time.py gives dates in this machine's own time zone.
"""

from __future__ import annotations

import re
from typing import Any

MIB, GIB = 1 << 20, 1 << 30
MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86400
_WEEKDAYS = ("Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed")  # 1 January 1970 was a Thursday
_COLOUR = re.compile(r"(\x1b\[[0-9;]{0,20}m)")
_FINGERPRINT_LINE = 16
"""Bytes on one line: 47 columns, so SHA-256 takes two."""


def plural(count: int, noun: str) -> str:
    """The count with its noun: "1 day", "3 days"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def size(count: int) -> str:
    """Bytes as "310 MiB" below 1 GiB, "16.9 GiB" from there on."""
    mebibytes = round(count / MIB)
    return f"{mebibytes} MiB" if mebibytes < GIB // MIB else f"{count / GIB:.1f} GiB"


def share(used: int, total: int | None) -> str:
    """A part of something large, in bytes, as "18.2 of 24 GiB"; without `total` like `size`."""
    if total is None:
        return size(used)
    return f"{used / GIB:.1f} of {f'{total / GIB:.1f}'.removesuffix('.0')} GiB"


def span(seconds: float) -> str:
    """A length of time in its two largest units: "12 s", "4 min", "3 h 20 min", "1 h", "9 days 4 h"."""
    left = max(0, round(seconds))
    if left < MINUTE_S:
        return f"{left} s"
    if left < HOUR_S:
        return f"{left // MINUTE_S} min"
    if left < DAY_S:
        hours, minutes = left // HOUR_S, left % HOUR_S // MINUTE_S
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = plural(left // DAY_S, "day"), left % DAY_S // HOUR_S
    return f"{days} {hours} h" if hours else days


def days(seconds: float) -> str:
    """A length of time in whole days: "12 days", "1 day", "less than a day"."""
    whole = int(seconds // DAY_S)
    return plural(whole, "day") if whole else "less than a day"


_PROGRAMS = (
    "sudo", "jupyterd", "systemctl", "journalctl", "loginctl", "timedatectl", "nvidia-smi", "ip", "ss", "ssh", "ls",
    "df", "kill", "namei", "quota",
)  # fmt: skip


def advised(advice: str) -> str:
    """What to do about a problem, for the end of a sentence: "type: COMMAND" if it begins with one, else "fix: ..."."""
    if advice.startswith("type: "):
        return advice
    return f"type: {advice}" if advice.partition(" ")[0] in _PROGRAMS else f"fix: {advice}"


def expiry(left_s: float, end: str) -> str:
    """What a certificate does on the date `end`, `left_s` from now: "expires on END, in 12 days", "expired on END"."""
    return f"expires on {end}, in {days(left_s)}" if left_s > 0 else f"expired on {end}"


def moment(unix_s: float, utc_offset_s: int) -> str:
    """A date and time as systemctl prints it, "Sun 2026-11-22 19:05", `utc_offset_s` east of UTC."""
    days, second = divmod(int(unix_s) + utc_offset_s, DAY_S)
    return f"{_WEEKDAYS[days % 7]} {_civil(days)} {_clock(second)}"


def day(unix_s: float, utc_offset_s: int) -> str:
    """A date, "2026-11-22"."""
    return _civil((int(unix_s) + utc_offset_s) // DAY_S)


def time_of_day(unix_s: float, utc_offset_s: int) -> str:
    """A time, "19:05"."""
    return _clock((int(unix_s) + utc_offset_s) % DAY_S)


def fingerprint(sha256: str) -> tuple[str, ...]:
    """Lower-case hex as browsers show it, "AB:CD:...", in lines of 16 bytes; ValueError for what is not hex."""
    pairs = [f"{byte:02X}" for byte in bytes.fromhex(sha256)]
    starts = range(0, len(pairs), _FINGERPRINT_LINE)
    return tuple(":".join(pairs[start : start + _FINGERPRINT_LINE]) for start in starts)


def printable(text: str) -> str:
    """The text on one line: what a terminal or journald could take for a command is written as an escape."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def for_terminal(text: str) -> str:
    """Whole lines of text. What a terminal obeys is written as an escape, except colours (SGR of ECMA-48)."""
    parts = _COLOUR.split(text.replace("\r\n", "\n"))
    return "".join(part if place % 2 else _escaped(part) for place, part in enumerate(parts))


def _escaped(text: str) -> str:
    return "".join(each if each.isprintable() or each in "\n\t" else ascii(each)[1:-1] for each in text)


def cleaned(value: Any) -> Any:  # noqa: ANN401 - JSON
    """A JSON value without what a terminal would obey: an account must not write escape sequences to root's screen."""
    match value:
        case str():
            return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in value)
        case list():
            return [cleaned(each) for each in value]
        case dict():
            return {cleaned(name): cleaned(each) for name, each in value.items()}
        case _:
            return value


def bracketed(host: str) -> str:
    """A host as it stands before ":port": an IPv6 address gets brackets."""
    return f"[{host}]" if ":" in host else host


def _clock(second: int) -> str:
    hour, minute = divmod(second // MINUTE_S, 60)
    return f"{hour:02}:{minute:02}"


def _civil(days: int) -> str:
    """Days since 1970-01-01 as a date (Howard Hinnant, "chrono-compatible low-level date algorithms")."""
    era, day_of_era = divmod(days + 719468, 146097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9  # noqa: PLR2004 - March is month 0 of the shifted year
    year = year_of_era + era * 400 + (month <= 2)  # noqa: PLR2004 - January and February
    return f"{year:04}-{month:02}-{day_of_year - (153 * shifted + 2) // 5 + 1:02}"
