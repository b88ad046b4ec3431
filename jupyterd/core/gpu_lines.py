"""Which GPU lines the journal gets: one each interval while a GPU works, one each quarter of an hour while it does not.

Pure; report.py asks, gpu.py says the line.
"""

from __future__ import annotations

from collections.abc import Sequence

from jupyterd.protocol import gpu_text
from jupyterd.protocol.gpu_frames import Gpu
from jupyterd.protocol.gpu_text import holders
from jupyterd.protocol.policy import Policy
from jupyterd.protocol.value import value
from jupyterd.text import span

IDLE_MEAN = 1.0
IDLE_PEAK = 5.0
"""Per cent: what a desktop that blinks a cursor costs, and no computation."""


@value
class LastLine:
    """What the journal has heard last about one GPU. `quiet_since` is when it had its first line as an idle one."""

    uuid: str
    at: float
    quiet_since: float | None
    held_by: tuple[str, ...]


def idle(each: Gpu) -> bool | None:
    """Whether it does nothing; None: unknown."""
    if each.utilisation_max is None or each.utilisation_mean is None:
        return None
    return each.utilisation_mean < IDLE_MEAN and each.utilisation_max <= IDLE_PEAK


def due(
    said: Sequence[LastLine], gpus: Sequence[Gpu], now: float, policy: Policy
) -> tuple[tuple[LastLine, ...], tuple[tuple[Gpu, str], ...]]:
    """(what has been said now, the GPUs that get a line, each with its line).

    A GPU that sleeps or is in trouble (which a health item tells) has nothing to say each minute either. Work that
    begins or ends, and another holder of its memory, are said at once.
    """
    before = {each.uuid: each for each in said}
    after, lines = [], []
    for each in gpus:
        last = before.get(each.uuid)
        quiet = each.asleep or each.trouble is not None or idle(each) is True
        held_by = tuple(sorted(holder.label for holder in holders(each.processes)))
        collapsed = last is not None and last.quiet_since is not None and quiet and last.held_by == held_by
        if collapsed and last is not None and now < last.at + policy.gpu_idle_log_every_s:
            after.append(last)
            continue
        since = last.quiet_since if last is not None and last.quiet_since is not None else now
        doing = f"idle for {span(now - since)}" if collapsed and idle(each) else None
        lines.append((each, gpu_text.line(each, doing)))
        after.append(LastLine(each.uuid, now, since if quiet else None, held_by))
    return tuple(after), tuple(lines)
