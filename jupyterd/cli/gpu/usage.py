"""GPU usage since a moment: selected by GPU and notebook, summed up, as data. Pure but for the time zone."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import PurePath
from typing import Any, TypeVar

import attrs

from jupyterd.gpu.intervals import GpuSpan, HolderInterval, HolderSpan, Spans, merge_gpu
from jupyterd.text import printable

_T = TypeVar("_T")
KWH_J = 3.6e6
HOUR_S = 3600
COLUMNS = (
    "at", "span_s", "gpu", "uuid", "notebook", "kernel", "user", "covered_s", "utilisation_mean", "utilisation_max",
    "memory_max_bytes", "memory_total_bytes", "power_w", "temperature_max_c", "energy_j",
)  # fmt: skip


@attrs.frozen
class Use:
    """One notebook's (or another account's) use of GPUs. None is "unknown", never nothing."""

    name: str
    notebook: str | None
    user: str | None
    gpu_hours: float
    """Hours for which it held memory, each GPU counted."""
    busy_hours: float | None
    """The same times utilisation."""
    memory_max_bytes: int | None
    kwh: float | None


def chosen(past: Spans, gpu: str | None, notebook: str | None) -> Spans:
    """What belongs to one GPU (its number, or the beginning of its UUID) and one notebook (the end of its path)."""
    uuids = {each.uuid for each in past.gpus if gpu is None or matches_gpu(gpu, each.index, each.uuid)}
    return Spans(
        tuple(each for each in past.gpus if each.uuid in uuids),
        tuple(
            each
            for each in past.holders
            if each.uuid in uuids and (notebook is None or matches(notebook, each.holder.notebook))
        ),
    )


def matches_gpu(wanted: str, index: int, uuid: str) -> bool:
    """Whether "0", "gpu0" or "GPU-8a1f" means this one."""
    return wanted.lower().removeprefix("gpu") == str(index) or (len(wanted) > 4 and uuid.startswith(wanted))  # noqa: PLR2004 - "GPU-"


def matches(wanted: str, path: str | None) -> bool:
    """Whether "train.ipynb", "models/train", "~/models/train.ipynb" or the whole path means this notebook."""
    if path is None:
        return False
    parts = PurePath(wanted.removeprefix("~/")).parts
    have = PurePath(path).parts
    tail = have[-len(parts) :] if parts else ()
    bare = (*tail[:-1], tail[-1].removesuffix(".ipynb")) if tail else ()
    return wanted == path or (bool(parts) and parts in (tail, bare))


def uses(holders: Sequence[HolderSpan], home: str) -> list[Use]:
    """By notebook, the one that used most first; kernels without a notebook and other accounts each by themselves."""
    names: dict[str, list[HolderSpan]] = {}
    for each in holders:
        names.setdefault(shown(each.holder, home), []).append(each)
    found = [_use(name, mine) for name, mine in names.items()]
    return sorted(found, key=lambda use: (-(use.kwh or 0.0), -use.gpu_hours, use.name))


def shown(holder: HolderInterval, home: str) -> str:
    """How a holder is called in a table."""
    if holder.notebook is not None:
        inside = home and holder.notebook.startswith(f"{home.rstrip('/')}/")
        return f"~/{holder.notebook[len(home.rstrip('/')) + 1 :]}" if inside else holder.notebook
    if holder.kernel is not None:
        return f"kernel {holder.kernel[:8]} (no notebook)"
    return f"other programs of {holder.user or 'an unknown account'}"


def whole(spans: Sequence[GpuSpan]) -> list[GpuSpan]:
    """One span for each GPU, over all of the time, in the order of their numbers."""
    return sorted((merge_gpu(each, each[0].at, 0) for each in _by(spans, _uuid)), key=lambda each: each.index)


def document(past: Spans, since: float, until: float, home: str) -> dict[str, Any]:
    """For --json: times in Unix seconds, per cent, bytes, watts, joules, kWh."""
    return {
        "since": since,
        "until": until,
        "gpus": [_gpu_document(each, past) for each in whole(past.gpus)],
        "notebooks": [_use_document(each, past, home) for each in uses(past.holders, home)],
    }


def table(past: Spans, *, whole: bool) -> str:
    """For --csv: a row for each span and holder (with a notebook, kernel or user), and one for the `whole` GPU."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    numbers = {each.uuid: each.index for each in past.gpus}
    rows = [
        {
            **{name: getattr(each, name) for name in COLUMNS if hasattr(each, name)},
            "at": _date(each.at),
            "gpu": each.index,
        }
        for each in (past.gpus if whole else ())
    ]
    rows += [
        {
            "at": _date(each.at), "span_s": each.span_s, "gpu": numbers.get(each.uuid), "uuid": each.uuid,
            "notebook": printable(each.holder.notebook or ""), "kernel": printable(each.holder.kernel or ""),
            "user": printable(each.holder.user or ""),
            "covered_s": each.held_s, "utilisation_mean": each.utilisation_mean,
            "memory_max_bytes": each.memory_max_bytes, "energy_j": each.energy_j,
        }
        for each in past.holders
    ]  # fmt: skip
    writer.writerows(sorted(rows, key=lambda row: (row["at"], row["gpu"] or 0)))
    return text.getvalue()


def _use(name: str, mine: Sequence[HolderSpan]) -> Use:
    busy = [each.held_s * each.utilisation_mean / 100 for each in mine if each.utilisation_mean is not None]
    energy = [each.energy_j for each in mine if each.energy_j is not None]
    return Use(
        name=name,
        notebook=mine[-1].holder.notebook,
        user=mine[-1].holder.user,
        gpu_hours=sum(each.held_s for each in mine) / HOUR_S,
        busy_hours=sum(busy) / HOUR_S if busy else None,
        memory_max_bytes=max(
            (each.memory_max_bytes for each in mine if each.memory_max_bytes is not None), default=None
        ),
        kwh=sum(energy) / KWH_J if energy else None,
    )


def _gpu_document(each: GpuSpan, past: Spans) -> dict[str, Any]:
    facts = ("utilisation_mean", "utilisation_max", "memory_max_bytes", "memory_total_bytes", "power_w")
    more = ("at", "span_s", "covered_s", *facts, "temperature_max_c", "energy_j")
    return {
        "index": each.index,
        "uuid": each.uuid,
        "name": each.name,
        "hours": each.covered_s / HOUR_S,
        **{name: getattr(each, name) for name in facts},
        "kwh": None if each.energy_j is None else each.energy_j / KWH_J,
        "samples": [{name: getattr(one, name) for name in more} for one in past.gpus if one.uuid == each.uuid],
    }


def _use_document(use: Use, past: Spans, home: str) -> dict[str, Any]:
    facts = ("at", "span_s", "uuid", "held_s", "utilisation_mean", "memory_max_bytes", "energy_j")
    mine = [each for each in past.holders if shown(each.holder, home) == use.name]
    return {**attrs.asdict(use), "samples": [{name: getattr(one, name) for name in facts} for one in mine]}


def _uuid(each: GpuSpan) -> str:
    return each.uuid


def _by(spans: Iterable[_T], key: Callable[[_T], str]) -> list[list[_T]]:
    found: dict[str, list[_T]] = {}
    for each in spans:
        found.setdefault(key(each), []).append(each)
    return list(found.values())


def _date(at: int) -> str:
    return datetime.fromtimestamp(at).astimezone().isoformat()


SINCE = "now, today, yesterday, 90m, 12h, 7d, 4w, 2026-11-01, 2026-11-01 18:30"
_SPAN = re.compile(r"(\d{1,6})\s*(m|min|h|d|w)")
_UNITS = {"m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_FORMS = ("%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")


def since(said: str, now: float) -> float:
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
            raise ValueError(f"{said} is in the future")
        return moment
    raise ValueError(f"{said!r} is not a time; allowed are {SINCE}")
