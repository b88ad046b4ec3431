"""The tables of the GPU history, and their rows as spans."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from jupyterd.gpu import intervals
from jupyterd.gpu.intervals import GpuSpan, HolderInterval, HolderSpan, Spans

SCHEMA = """
CREATE TABLE gpu (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, number INTEGER NOT NULL, name TEXT NOT NULL);
CREATE TABLE holder (
  id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, kernel TEXT, notebook TEXT, user TEXT);
CREATE TABLE gpu_span (
  at INTEGER NOT NULL, gpu INTEGER NOT NULL REFERENCES gpu, span_s INTEGER NOT NULL, covered_s REAL NOT NULL,
  utilisation_mean REAL, utilisation_max REAL, memory_max INTEGER, memory_total INTEGER, power REAL,
  temperature_max INTEGER, energy REAL, PRIMARY KEY (at, gpu)) WITHOUT ROWID;
CREATE TABLE holder_span (
  at INTEGER NOT NULL, gpu INTEGER NOT NULL REFERENCES gpu, holder INTEGER NOT NULL REFERENCES holder,
  span_s INTEGER NOT NULL, held_s REAL NOT NULL, utilisation_mean REAL, memory_max INTEGER, energy REAL,
  PRIMARY KEY (at, gpu, holder)) WITHOUT ROWID;
"""
_GPUS = """
SELECT at, span_s, uuid, number, name, covered_s, utilisation_mean, utilisation_max, memory_max, memory_total, power,
  temperature_max, energy FROM gpu_span JOIN gpu ON gpu.id = gpu_span.gpu WHERE at >= ? AND at < ? ORDER BY at, number
"""
_HOLDERS = """
SELECT at, span_s, uuid, kernel, notebook, user, held_s, utilisation_mean, memory_max, energy FROM holder_span
  JOIN gpu ON gpu.id = holder_span.gpu JOIN holder ON holder.id = holder_span.holder
  WHERE at >= ? AND at < ? ORDER BY at, number, holder.id
"""


def insert(file: sqlite3.Connection, new: Spans) -> None:
    """Merge with existing rows of the same spans: a sampler may have been started again within a minute."""
    gpus = {each.uuid: _gpu_id(file, each) for each in new.gpus}
    for each in new.gpus:
        old = _read_gpus(file, "at = ? AND gpu = ?", (each.at, gpus[each.uuid]))
        longest = max(span.span_s for span in (*old, each))  # a clock that was set back may meet hours
        _put_gpu(file, gpus[each.uuid], intervals.merge_gpu([*old, each], each.at, longest))
    for mine in new.holders:
        gpu, holder = gpus.get(mine.uuid), _holder_id(file, mine.holder)
        if gpu is None:
            continue
        before = _read_holders(file, "at = ? AND gpu = ? AND holder = ?", (mine.at, gpu, holder))
        longest = max(span.span_s for span in (*before, mine))
        _put_holder(file, gpu, holder, intervals.merge_holder([*before, mine], mine.at, longest))


def read(file: sqlite3.Connection, where: str, values: Sequence[float]) -> Spans:
    """The rows of both tables for which `where` holds, oldest first."""
    return Spans(tuple(_read_gpus(file, where, values)), tuple(_read_holders(file, where, values)))


def _gpu_id(file: sqlite3.Connection, each: GpuSpan) -> int:
    file.execute(
        "INSERT INTO gpu (uuid, number, name) VALUES (?, ?, ?)"
        " ON CONFLICT (uuid) DO UPDATE SET number = excluded.number, name = excluded.name",
        (each.uuid, each.index, each.name),
    )
    return int(file.execute("SELECT id FROM gpu WHERE uuid = ?", (each.uuid,)).fetchone()[0])


def _holder_id(file: sqlite3.Connection, each: HolderInterval) -> int:
    """A kernel keeps its row when its notebook is renamed, and so all of its past goes by the new name."""
    file.execute(
        "INSERT INTO holder (key, kernel, notebook, user) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (key) DO UPDATE SET notebook = coalesce(excluded.notebook, notebook), user = excluded.user",
        (intervals.key(each), each.kernel, each.notebook, each.user),
    )
    return int(file.execute("SELECT id FROM holder WHERE key = ?", (intervals.key(each),)).fetchone()[0])


def _read_gpus(file: sqlite3.Connection, where: str, values: Sequence[float]) -> list[GpuSpan]:
    return [GpuSpan(*row) for row in file.execute(_GPUS.replace("at >= ? AND at < ?", where), values)]


def _read_holders(file: sqlite3.Connection, where: str, values: Sequence[float]) -> list[HolderSpan]:
    rows = file.execute(_HOLDERS.replace("at >= ? AND at < ?", where), values)
    return [_holder_span(row) for row in rows]


def _holder_span(row: tuple[Any, ...]) -> HolderSpan:
    at, span_s, uuid, kernel, notebook, user, *figures = row
    return HolderSpan(at, span_s, uuid, HolderInterval(kernel, notebook, user), *figures)


def _put_gpu(file: sqlite3.Connection, gpu: int, each: GpuSpan) -> None:
    file.execute(
        "INSERT OR REPLACE INTO gpu_span VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            each.at, gpu, each.span_s, each.covered_s, each.utilisation_mean, each.utilisation_max,
            each.memory_max_bytes, each.memory_total_bytes, each.power_w, each.temperature_max_c, each.energy_j,
        ),
    )  # fmt: skip


def _put_holder(file: sqlite3.Connection, gpu: int, holder: int, each: HolderSpan) -> None:
    file.execute(
        "INSERT OR REPLACE INTO holder_span VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (each.at, gpu, holder, each.span_s, each.held_s, each.utilisation_mean, each.memory_max_bytes, each.energy_j),
    )
