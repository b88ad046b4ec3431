"""What a snapshot cannot tell: whether something runs without one, a start that failed, and the failed service beside a
server that runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from jupyterd.cli import failed_start
from jupyterd.cli.failed_start import FailedStart
from jupyterd.cli.status import units
from jupyterd.cli.status.units import UnitState
from jupyterd.linux import files, local_time, proc
from jupyterd.settings.paths import Paths

_INDENT = "    "
_SUSPENDED = frozenset("Tt")


@attrs.frozen
class Beside:
    """One place where a server may be: its service, and its last start if that failed."""

    unit: UnitState | None
    failed: FailedStart | None


def look(where: Sequence[Paths]) -> tuple[Beside, ...]:
    """Of each place; the user's own server may be a service or run in a terminal."""
    return tuple(
        Beside(units.ask("service" if each.mode == "service" else "user"), failed_start.read(each)) for each in where
    )


def running(where: Sequence[Paths], services: Sequence[Beside]) -> str:
    """Whether a supervisor, or a start that may become one, is there, by its lock or by systemd: as the beginning of a
    sentence; "" for none.
    """
    for each in services:
        if each.unit is not None and each.unit.runs:
            pid, said = each.unit.main_pid, f": {each.unit.status}" if each.unit.status else ""
            if proc.state(pid) in _SUSPENDED:
                return f"jupyterd.service is suspended (resume it with: kill -CONT {pid})"
            return f"jupyterd.service runs (pid {pid}{said})"
    for place in where:
        if files.is_locked(place.lock):
            return f"a jupyterd runs with the state in {place.state}"
    return ""


def troubles(services: Sequence[Beside]) -> Iterator[str]:
    """Lines about every service that has failed, and about every start that has. A start that succeeds ends both."""
    for each in services:
        if each.unit is not None and each.unit.trouble:
            yield f"{each.unit.trouble}. Type:\n{_INDENT}{_log(each.unit)}"
        if each.failed is not None:
            yield f"The last start failed, at {local_time.moment(each.failed.at)}:"
            for problem in each.failed.problems:
                yield f"{_INDENT}{problem}"


def _log(unit: UnitState) -> str:
    return f"journalctl {'' if unit.which == 'service' else '--user '}-u jupyterd -n 20"
