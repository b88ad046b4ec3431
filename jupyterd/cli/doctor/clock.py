"""Clock and time zone: a wrong clock makes certificates and logins look invalid."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import jupyterd
from jupyterd.cli.doctor import programs
from jupyterd.cli.doctor.programs import NoAnswer
from jupyterd.cli.doctor.verdict import Verdict
from jupyterd.linux import local_time, systemd
from jupyterd.text import DAY_S

SUBJECT = "clock"
_SYNC = "sudo timedatectl set-ntp true"
_LATEST_S = 20 * 365 * DAY_S
"""No machine runs this program so long after it was installed."""


def examine(zone: Path = Path("/etc/localtime")) -> Iterator[Verdict]:
    """Whether the time can be right, whether the network sets it, and whether the time zone exists."""
    now = time.time()
    yield from plausible(now, os.stat(jupyterd.__file__).st_mtime)  # noqa: PTH116 - a time
    yield from zone_file(zone)
    try:
        shown = systemd.properties(programs.said("timedatectl", "show"))
    except NoAnswer:
        shown = {}  # a machine without systemd
    yield from synchronized(shown)
    name = f" ({shown['Timezone']})" if shown.get("Timezone") else ""
    yield Verdict(SUBJECT, "good", f"{local_time.moment(now)}, time zone {time.strftime('%Z')}{name}")


def plausible(now: float, installed: float) -> Iterator[Verdict]:
    """`installed`: when this program was written to the disk. Unix seconds."""
    if not installed - DAY_S <= now < installed + _LATEST_S:
        text = f"says {local_time.moment(now)}, which cannot be: certificates and logins look invalid"
        yield Verdict(SUBJECT, "wrong", text, (_SYNC,))


def zone_file(path: Path) -> Iterator[Verdict]:
    """A link to nowhere makes every program use UTC without a word (tzset(3))."""
    if os.path.lexists(path) and not path.exists():
        text = f"the time zone {os.readlink(path)} does not exist, so times are in UTC"  # noqa: PTH115
        yield Verdict(SUBJECT, "wrong", text, ("sudo apt install tzdata", "timedatectl list-timezones"))


def synchronized(shown: dict[str, str]) -> Iterator[Verdict]:
    """From `timedatectl show`; {}: not known. In a container the clock is that of the machine around it."""
    if shown.get("NTPSynchronized") != "no" or Path("/run/systemd/container").exists():
        return
    if shown.get("CanNTP") == "no":
        text = "nothing sets it from the network (no program for that is installed)"
        yield Verdict(SUBJECT, "notice", text, ("sudo apt install systemd-timesyncd",))
    elif shown.get("NTP") == "no":
        yield Verdict(SUBJECT, "notice", "it is not set from the network", (_SYNC,))
    else:
        yield Verdict(SUBJECT, "notice", "no time server has answered yet", ("timedatectl timesync-status",))
