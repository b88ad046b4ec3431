"""One form for a reader: sizes, lengths of time, dates, fingerprints."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from jupyterd import text

MIB, GIB = 1 << 20, 1 << 30


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "0 MiB"), (12 * MIB, "12 MiB"), (512 * MIB, "512 MiB"), (1023 * MIB, "1023 MiB"),
        (GIB - 1, "1.0 GiB"), (GIB, "1.0 GiB"), (int(16.94 * GIB), "16.9 GiB"), (141 * GIB, "141.0 GiB"),
    ],
)  # fmt: skip
def test_sizes(count: int, expected: str) -> None:
    assert text.size(count) == expected


@pytest.mark.parametrize(
    ("used", "total", "expected"),
    [
        (int(18.2 * GIB), 24 * GIB, "18.2 of 24 GiB"),
        (512 * MIB, int(79.6 * GIB), "0.5 of 79.6 GiB"),
        (512 * MIB, None, "512 MiB"),
    ],
)
def test_shares(used: int, total: int | None, expected: str) -> None:
    assert text.share(used, total) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-3, "0 s"), (0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min"), (3599, "59 min"), (3600, "1 h"),
        (5400, "1 h 30 min"),
        (12000, "3 h 20 min"), (86399, "23 h 59 min"), (86400, "1 day"), (90000, "1 day 1 h"), (9 * 86400, "9 days"),
        (9 * 86400 + 4 * 3600 + 59, "9 days 4 h"),
    ],
)  # fmt: skip
def test_lengths_of_time(seconds: float, expected: str) -> None:
    assert text.span(seconds) == expected


@pytest.mark.parametrize("hours", [-11, 0, 5.5, 14])
@pytest.mark.parametrize("unix_s", [0, 951_782_399, 951_782_400, 1_709_164_800, 1_795_386_300, 4_102_444_799])
def test_dates_are_those_of_the_standard_library(unix_s: int, hours: float) -> None:
    zone = timezone(timedelta(hours=hours))
    there = datetime.fromtimestamp(unix_s, UTC).astimezone(zone)
    offset_s = int(hours * 3600)
    assert text.moment(unix_s, offset_s) == there.strftime("%a %Y-%m-%d %H:%M")
    assert text.day(unix_s, offset_s) == there.strftime("%Y-%m-%d")
    assert text.time_of_day(unix_s, offset_s) == there.strftime("%H:%M")


def test_fingerprint_as_browsers_show_it() -> None:
    lines = text.fingerprint(bytes(range(32)).hex())
    assert lines == (
        "00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F",
        "10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F",
    )
    with pytest.raises(ValueError, match="non-hexadecimal"):
        text.fingerprint("no")


@pytest.mark.parametrize(
    ("raw", "expected"),
    [("plain ü 日", "plain ü 日"), ("a\nb", "a\\nb"), ("\x1b[2J", "\\x1b[2J"), ("\u202e", "\\u202e")],
)
def test_nothing_that_a_terminal_obeys(raw: str, expected: str) -> None:
    assert text.printable(raw) == expected


@pytest.mark.parametrize(("host", "expected"), [("gpu.lan", "gpu.lan"), ("::1", "[::1]"), ("10.0.0.1", "10.0.0.1")])
def test_hosts_before_a_port(host: str, expected: str) -> None:
    assert text.bracketed(host) == expected


@pytest.mark.parametrize(("count", "expected"), [(0, "0 kernels"), (1, "1 kernel"), (2, "2 kernels")])
def test_plurals(count: int, expected: str) -> None:
    assert text.plural(count, "kernel") == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(3600, "less than a day"), (86400, "1 day"), (29.9 * 86400, "29 days"), (0, "less than a day")],
)
def test_whole_days(seconds: float, expected: str) -> None:
    assert text.days(seconds) == expected


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain ä \N{WHITE BULLET}\n", "plain ä \N{WHITE BULLET}\n"),
        ("\x1b[1;31mred\x1b[0m\n", "\x1b[1;31mred\x1b[0m\n"),
        ("a,b\r\nc\td\n", "a,b\nc\td\n"),
        ("over\rwritten", "over\\rwritten"),
        ("\x1b]0;title\x07\x1b[2J\x1b[6n\x9b2J", "\\x1b]0;title\\x07\\x1b[2J\\x1b[6n\\x9b2J"),
        ("\x1b[" + "1" * 30 + "m\N{RIGHT-TO-LEFT OVERRIDE}", "\\x1b[" + "1" * 30 + "m\\u202e"),
    ],
)
def test_a_terminal_gets_no_commands_but_colours(given: str, shown: str) -> None:
    assert text.for_terminal(given) == shown


@pytest.mark.parametrize(
    ("advice", "shown"),
    [
        ("sudo certbot renew", "type: sudo certbot renew"),
        ("jupyterd config check", "type: jupyterd config check"),
        ("type: mkdir -p /x   (or mount its disk)", "type: mkdir -p /x   (or mount its disk)"),
        ("choose a port of 1024 or more", "fix: choose a port of 1024 or more"),
    ],
)
def test_only_commands_are_to_be_typed(advice: str, shown: str) -> None:
    assert text.advised(advice) == shown


@pytest.mark.parametrize(
    ("left_s", "shown"),
    [
        (3.5 * 86400, "expires on 2027-02-24, in 3 days"),
        (60.0, "expires on 2027-02-24, in less than a day"),
        (-1.0, "expired on 2027-02-24"),
    ],
)
def test_the_expiry_of_a_certificate(left_s: float, shown: str) -> None:
    assert text.expiry(left_s, "2027-02-24") == shown
