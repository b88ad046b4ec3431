"""The page of `jupyterd gpu`: who holds what now, and what was used since some moment. Pure text, no plots."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Literal

import attrs

from jupyterd.cli.gpu import usage
from jupyterd.cli.gpu.usage import Use
from jupyterd.gpu.intervals import GpuSpan, HolderInterval
from jupyterd.protocol import gpu_text
from jupyterd.protocol.gpu_frames import Gpu, GpuProcess
from jupyterd.text import printable, share, size

UNKNOWN = "?"


@attrs.frozen
class HeldMemory:
    """One holder's part of one GPU now; `pids` of its processes there."""

    holder: HolderInterval
    name: str
    memory_bytes: int | None
    utilisation: float | None
    pids: tuple[int, ...]


def held(one: Gpu, home: str) -> list[HeldMemory]:
    """Who holds memory of it, the one with most first; other accounts' programs each by themselves."""
    found: dict[tuple[object, ...], list[GpuProcess]] = {}
    for each in one.processes or ():
        alone = None if each.kernel is not None else each.pid
        found.setdefault((each.kernel, alone), []).append(each)
    result = [_held(mine, home) for mine in found.values()]
    return sorted(result, key=lambda each: (-(each.memory_bytes or 0), each.pids))


def now(gpus: Sequence[Gpu], home: str, columns: int) -> str:
    """Every GPU with its line, and below it who holds what."""
    lines: list[str] = []
    for one in gpus:
        lines += textwrap.wrap(gpu_text.line(one), columns, subsequent_indent="      ", break_on_hyphens=False)
        lines += _holders(one, home, columns)
        lines.append("")
    return "\n".join(lines)


def past(spans: Sequence[GpuSpan], columns: int) -> str:
    """One GPU over the whole time: what it was called, means and peaks, energy."""
    (one,) = usage.whole(spans)
    parts = [
        "" if one.utilisation_mean is None else f"{one.utilisation_mean:.0f} % on average",
        "" if one.memory_max_bytes is None else _up_to(one.memory_max_bytes, one.memory_total_bytes),
        "" if one.power_w is None else f"{one.power_w:.0f} W",
        "" if one.energy_j is None else f"{one.energy_j / usage.KWH_J:.2f} kWh",
        f"{one.covered_s / usage.HOUR_S:.1f} h recorded",
    ]
    title = gpu_text.title(Gpu(one.index, one.uuid, printable(one.name), None, None, None, None, None, None, None))
    whole = f"{title}: {', '.join(part for part in parts if part)}"
    return "\n".join(textwrap.wrap(whole, columns, subsequent_indent="      ", break_on_hyphens=False))


def uses(every: Sequence[Use], columns: int) -> str:
    """The table by notebook."""
    rows = [
        (
            each.name, f"{each.gpu_hours:.1f}", UNKNOWN if each.busy_hours is None else f"{each.busy_hours:.1f}",
            memory(each.memory_max_bytes), UNKNOWN if each.kwh is None else f"{each.kwh:.2f}",
        )
        for each in every
    ]  # fmt: skip
    head = ("Notebook", "GPU hours", "busy hours", "memory", "kWh")
    return "\n".join(_table([head, *rows], columns, ("left", "right", "right", "right", "right")))


def memory(count: int | None) -> str:
    """As in text.size, UNKNOWN for None."""
    return UNKNOWN if count is None else size(count)


def _held(mine: list[GpuProcess], home: str) -> HeldMemory:
    first = mine[0]
    holder = HolderInterval(first.kernel, first.notebook, first.user)
    name = usage.shown(holder, home)
    if first.kernel is None:
        name = f"{first.command or 'a program'} of {first.user or 'an unknown account'} (not a notebook)"
    amounts = [each.memory_bytes for each in mine if each.memory_bytes is not None]
    work = [each.utilisation for each in mine if each.utilisation is not None]
    pids = tuple(each.pid for each in mine)
    return HeldMemory(holder, name, sum(amounts) if amounts else None, sum(work) if work else None, pids)


def _holders(one: Gpu, home: str, columns: int) -> Iterator[str]:
    if one.processes is None:
        if one.trouble is None and not one.asleep:
            yield "  which processes hold memory is not known"
        return
    if not one.processes:
        yield "  no process holds memory"
        return
    rows = [
        (
            each.name, memory(each.memory_bytes), UNKNOWN if each.utilisation is None else f"{each.utilisation:.0f} %",
            (each.holder.kernel or "")[:8], _pids(each.pids),
        )
        for each in held(one, home)
    ]  # fmt: skip
    rows.insert(0, ("held by", "memory", "GPU", "kernel", "pids"))
    yield from ("  " + line for line in _table(rows, columns - 2, ("left", "right", "right", "left", "left")))


def _pids(pids: tuple[int, ...]) -> str:
    return str(pids[0]) if len(pids) == 1 else f"{pids[0]} and {len(pids) - 1} more"


def _up_to(used: int, total: int | None) -> str:
    return f"up to {share(used, total)}"


def _table(rows: Sequence[tuple[str, ...]], columns: int, sides: Sequence[Literal["left", "right"]]) -> Iterator[str]:
    """If there is not enough room, cut the first column at its beginning: the end of a path says more."""
    widths = [max(len(row[number]) for row in rows) for number in range(len(sides))]
    widths[0] = max(12, min(widths[0], columns - sum(widths[1:]) - 2 * (len(sides) - 1)))
    for row in rows:
        first = row[0] if len(row[0]) <= widths[0] else f"…{row[0][1 - widths[0] :]}"
        cells = [
            f"{cell:<{width}}" if side == "left" else f"{cell:>{width}}"
            for cell, width, side in zip((first, *row[1:]), widths, sides, strict=True)
        ]
        yield "  ".join(cells).rstrip()
