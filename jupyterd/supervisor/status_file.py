"""The status snapshot on disk: replaced as a whole, and only when its content changes.

It converts the core's monotonic times to Unix seconds.
"""

from __future__ import annotations

import os
from dataclasses import replace

from jupyterd.linux import files, kept
from jupyterd.protocol.status import NAME, Snapshot, encode
from jupyterd.supervisor import clock

_SAME_CLOCK_S = 1.0


class Status:
    """Writes the status file; keeps what it wrote last."""

    def __init__(self, runtime_dir: str) -> None:
        self._path = os.path.join(runtime_dir, NAME)
        self._last: Snapshot | None = None
        self._offset_s = clock.read().wall_offset_s

    def publish(self, snapshot: Snapshot) -> None:
        """Replace the file, mode 0600. OSError if it cannot be written; then the old file stays."""
        if snapshot == self._last:
            return
        offset_s = clock.read().wall_offset_s
        if abs(offset_s - self._offset_s) > _SAME_CLOCK_S:  # the clock was set: a small drift must not move dates
            self._offset_s = offset_s
        data = encode(_dated(snapshot, self._offset_s))
        try:
            files.replace(self._path, data)
        except IsADirectoryError:  # somebody's, in the place of the file
            os.rename(self._path, self._path + kept.ASIDE)
            files.replace(self._path, data)
        self._last = snapshot


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
