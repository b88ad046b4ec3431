"""Figures over time, drawn in the terminal. Pure but for the local time zone; the only importer of plotext."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import attrs
import plotext

from jupyterd.gpu import intervals
from jupyterd.gpu.intervals import GpuSpan, HolderSpan, Spans
from jupyterd.text import DAY_S, GIB

Points = Sequence[tuple[float, float | None]]
"""(Unix seconds, value); None is a gap."""
ROWS = 9
_TICK_COLUMNS = 16
_STEPS_S = tuple(60 * each for each in (5, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10080, 20160, 43200))
_EDGE = 9
"""Columns that the ruler and the frame take."""
_NICE = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)


@attrs.frozen
class Sheet:
    """The time that is drawn (Unix seconds), and how: columns, and whether in colour."""

    since: float
    until: float
    columns: int = 80
    colour: bool = False


def of_gpu(past: Spans, uuid: str, sheet: Sheet) -> str:
    """Utilisation, memory and power of one GPU."""
    mine = [each for each in past.gpus if each.uuid == uuid]
    span_s = _span(sheet, max((each.span_s for each in mine), default=60))
    coarse = intervals.coarser(Spans(tuple(mine)), span_s).gpus
    total = max((each.memory_total_bytes for each in mine if each.memory_total_bytes is not None), default=None)
    return "\n".join((
        draw("utilisation, %", [(each.at, each.utilisation_mean) for each in coarse], sheet, span_s, 100),
        draw("memory, GiB", [(each.at, _gib(each)) for each in coarse], sheet, span_s, total and total / GIB),
        draw("power, W", [(each.at, each.power_w) for each in coarse], sheet, span_s, None),
    ))  # fmt: skip


def of_notebook(mine: Sequence[HolderSpan], sheet: Sheet) -> str:
    """The same of one notebook on one GPU: its part of the utilisation, its memory, its share of the power."""
    span_s = _span(sheet, max((each.span_s for each in mine), default=60))
    at_once: dict[int, list[HolderSpan]] = {}
    for each in mine:
        at_once.setdefault(intervals.beginning(each.at, span_s), []).append(each)
    coarse = [intervals.merge_holder(each, at, span_s) for at, each in sorted(at_once.items())]
    watts = [
        (each.at, None if each.energy_j is None or not each.held_s else each.energy_j / each.held_s) for each in coarse
    ]
    return "\n".join((
        draw("utilisation, %", [(each.at, each.utilisation_mean) for each in coarse], sheet, span_s, 100),
        draw("memory, GiB", [(each.at, _gib(each)) for each in coarse], sheet, span_s, None),
        draw("power, W (its share)", watts, sheet, span_s, None),
    ))  # fmt: skip


def draw(title: str, points: Points, sheet: Sheet, span_s: float, top: float | None) -> str:
    """One plot; the y axis begins at 0 and ends at `top`, or at a round number above the values."""
    known = [(at, value) for at, value in points if value is not None]
    figure = plotext.figure
    plotext.terminal.limit(width=False, height=False)  # `sheet` knows better
    figure.clear()
    figure.plot_size(sheet.columns, ROWS)
    figure.theme("simple" if sheet.colour else "colorless")  # both leave the background as it is
    figure.canvas("default")
    figure.title(title if known else f"{title}: no figures")
    top = max(top or 0.0, _round_up(max((value for _, value in known), default=1.0)) if top is None else 0.0)
    rows = figure.ruler("y")
    rows.lim(0, top)
    rows.ticks([0, top / 2, top], [f"{value:>6.4g}" for value in (0, top / 2, top)])
    line = figure.ruler("x")
    line.lim(sheet.since, sheet.until)
    marks = ticks(sheet)
    line.ticks([at for at, _ in marks], [label for _, label in marks])
    if known:
        signal = figure.signal([at for at, _ in known], [value for _, value in known], marker="braille")
        signal.lines()
        signal.fillx()
        for number, ((before, _), (at, _)) in enumerate(pairwise(known), 1):
            if at - before > 1.5 * span_s:
                signal.line(number, False)  # noqa: FBT003 - plotext's own
        figure.draw(signal)
    drawn: str = figure.build().string(colorless=not sheet.colour)
    return "\n".join(each.rstrip() for each in drawn.splitlines())


def ticks(sheet: Sheet) -> list[tuple[float, str]]:
    """Round times with what is written below them."""
    room = max(2, (sheet.columns - _EDGE) // _TICK_COLUMNS)
    step_s = next((each for each in _STEPS_S if (sheet.until - sheet.since) / each <= room), _STEPS_S[-1])
    at = datetime.fromtimestamp(sheet.since).replace(hour=0, minute=0, second=0, microsecond=0)  # noqa: DTZ006 - local
    found: list[tuple[float, str]] = []
    while (moment := at.timestamp()) <= sheet.until:
        if moment >= sheet.since:
            midnight = step_s >= DAY_S or (at.hour == 0 and at.minute == 0 and sheet.until - sheet.since > DAY_S)
            found.append((moment, at.strftime("%a %d %b" if midnight else "%H:%M")))
        at += timedelta(seconds=step_s)
    return found


def _span(sheet: Sheet, least_s: int) -> int:
    """Two points for each column (braille has two dots), never finer than what is kept."""
    wanted = (sheet.until - sheet.since) / (2 * max(10, sheet.columns - _EDGE))
    return max(1, math.ceil(wanted / least_s)) * least_s


def _gib(each: GpuSpan | HolderSpan) -> float | None:
    return None if each.memory_max_bytes is None else each.memory_max_bytes / GIB


def _round_up(value: float) -> float:
    if value <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(value))
    return next(each * unit for each in _NICE if each * unit >= value)
