"""The logins that were ended by logging out: a copy of their cookie is worth nothing, here and after a restart.

A login is known by the random user name in its cookie, which Jupyter makes for each. Cookies end by themselves after
a month, and with them the lines of this file: "UNIX_SECONDS DIGEST".
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable
from pathlib import Path

import attrs

from jupyterd.linux import files, kept
from jupyterd.linux.kept import Tell

MOST = 10_000
"""The latest so many are kept."""
_LINE = re.compile(r"(\d{1,12}) ([0-9a-f]{32})")


@attrs.define
class Logouts:
    """Owns the file `path`. Costs one stat(2) while it does not change."""

    path: Path
    tell: Tell
    """Gets a sentence about damage, or a disk that cannot be written."""
    clock: Callable[[], float] = time.time
    _ended: dict[str, int] = attrs.field(factory=dict, init=False)
    """Digest of a login, and when its cookie ends in any case (Unix seconds)."""
    _mark: str = attrs.field(default=files.ABSENT, init=False)
    _unread: str = attrs.field(default="", init=False)

    def __contains__(self, login: str) -> bool:
        self._read()
        return _digest(login) in self._ended

    def add(self, login: str, days: float) -> None:
        """End `login`, whose cookie is valid for `days` at most. OSError: it could not be stored, and holds until this
        server ends.
        """
        self._read()
        now = self.clock()
        self._ended[_digest(login)] = round(now + days * 86400)
        latest = sorted((until, each) for each, until in self._ended.items() if until > now)[-MOST:]
        self._ended = {each: until for until, each in latest}
        kept.write(self.path, "".join(f"{until} {each}\n" for until, each in latest).encode(), self.tell)
        self._mark = files.stat_mark(self.path)

    def _read(self) -> None:
        mark = files.stat_mark(self.path)
        if mark == self._mark:
            return
        try:
            found = kept.load(self.path, self._decode, self.tell)
        except OSError as error:  # a disk that fails for a moment revives no login
            if str(error) != self._unread:
                self._unread = str(error)
                self.tell(str(error))
            return
        self._ended |= found or {}
        self._mark = files.stat_mark(self.path)

    def _decode(self, data: bytes) -> dict[str, int]:
        """The lines; one that was damaged is left out and told."""
        lines = data.decode("ascii", "replace").splitlines()
        found = [_LINE.fullmatch(each) for each in lines]
        if missing := found.count(None):
            self.tell(f"{self.path} was damaged: {missing} of {len(lines)} ended logins are lost from it")
        return {each[2]: int(each[1]) for each in found if each is not None}


def _digest(login: str) -> str:
    return hashlib.sha256(login.encode("utf-8", "surrogatepass")).hexdigest()[:32]
