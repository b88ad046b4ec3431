"""The sandbox of the service: its score, and whether systemd runs the unit that is on the disk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from jupyterd.cli.doctor import programs
from jupyterd.cli.doctor.facts import ServerFacts
from jupyterd.cli.doctor.programs import NoAnswer
from jupyterd.cli.doctor.verdict import Verdict
from jupyterd.cli.status.units import NAME
from jupyterd.linux import systemd

SUBJECT = "sandbox"
_SCORE = re.compile(r"Overall exposure level for \S+: (\d+\.\d+)")
_USUAL = 2.5
"""Ours is 1.4 to 1.6 (docs/hardening.md); a unit without a sandbox has 9.2."""


def examine(base: ServerFacts) -> Iterator[Verdict]:
    """Only of the machine's service: a server in a terminal has the rights of its account."""
    if base.mode != "service" or not Path("/run/systemd/system").is_dir():
        yield Verdict(SUBJECT, "good", "none: this server has the rights of its account, as notebooks do")
        return
    try:
        shown = systemd.properties(programs.said("systemctl", "show", "--property=LoadState,NeedDaemonReload", NAME))
        if shown.get("LoadState") != "loaded":
            yield Verdict(SUBJECT, "unknown", f"{NAME} is not installed")
            return
        yield from of_unit(shown, programs.said("systemd-analyze", "--no-pager", "security", NAME, codes=(0, 1)))
    except NoAnswer as error:
        yield Verdict(SUBJECT, "unknown", str(error))


def of_unit(shown: dict[str, str], analysis: str) -> Iterator[Verdict]:
    """From `systemctl show` and `systemd-analyze security`."""
    if shown.get("NeedDaemonReload") == "yes":
        text = "the unit on the disk has changed, and systemd still runs the old one"
        yield Verdict(SUBJECT, "wrong", text, ("sudo systemctl daemon-reload && sudo systemctl restart jupyterd",))
    found = _SCORE.search(analysis)
    if found is None:
        yield Verdict(SUBJECT, "unknown", "systemd-analyze gives no score")
    elif float(found[1]) > _USUAL:
        text = f"scores {found[1]} in systemd-analyze security; as it is installed, it has at most 1.6"
        yield Verdict(SUBJECT, "notice", text, (f"systemctl cat {NAME}", f"systemd-analyze security {NAME}"))
    else:
        yield Verdict(SUBJECT, "good", f"scores {found[1]} in systemd-analyze security (without one: 9.2)")
