"""The status snapshot on disk: replaced as a whole, and only when its content changes.

It converts the core's monotonic times to Unix seconds.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace

from jupyterd.linux import files, kept
from jupyterd.protocol.status import NAME, Snapshot, encode
from jupyterd.supervisor import clock

_SAME_CLOCK_S = 1.0
_LOOK_EVERY_S = 5.0
"""More than between two probes of a server that serves: then looking wakes nobody up."""


class Status:
    """Writes the status file; keeps what it wrote last."""

    def __init__(self, runtime_dir: str) -> None:
        self._path = os.path.join(runtime_dir, NAME)
        self._last: Snapshot | None = None
        self._data = b""
        self._mark = ""
        """files.stat_mark of what was written last, "" before that."""
        self.look_at = 0.0
        """When `keep` is due (monotonic)."""
        self._offset_s = clock.read().wall_offset_s

    def publish(self, snapshot: Snapshot) -> None:
        """Replace the file, mode 0600. OSError if it cannot be written; then the old file stays."""
        if snapshot == self._last:
            return
        offset_s = clock.read().wall_offset_s
        if abs(offset_s - self._offset_s) > _SAME_CLOCK_S:  # the clock was set: a small drift must not move dates
            self._offset_s = offset_s
        self._data = encode(_dated(snapshot, self._offset_s))
        self._last = None
        self._write()
        self._last = snapshot

    def keep(self, now: float) -> None:
        """Write the file again if somebody has removed or changed it. Call it at `look_at`. OSError if it cannot be
        written.
        """
        self.look_at = now + _LOOK_EVERY_S
        if self._data and files.stat_mark(self._path) != self._mark:
            self._write()

    def _write(self) -> None:
        with suppress(OSError):
            os.mkdir(os.path.dirname(self._path), 0o700)
        try:
            files.replace(self._path, self._data)
        except IsADirectoryError:  # somebody's, in the place of the file
            names = (f"{self._path}{kept.ASIDE}{number}" for number in ("", *(f".{each}" for each in range(2, 100))))
            os.rename(self._path, next(name for name in names if not os.path.lexists(name)))
            files.replace(self._path, self._data)
        self._mark = files.stat_mark(self._path)


def _dated(snapshot: Snapshot, offset_s: float) -> Snapshot:
    def date(monotonic: float) -> float:
        return round(monotonic + offset_s, 3)

    return replace(
        snapshot,
        since=date(snapshot.since),
        addresses=tuple(replace(each, since=date(each.since)) for each in snapshot.addresses),
        recent=tuple(replace(each, at=date(each.at)) for each in snapshot.recent),
        culled=tuple(replace(each, at=date(each.at)) for each in snapshot.culled),
        items=tuple(replace(each, since=date(each.since)) for each in snapshot.items),
    )
