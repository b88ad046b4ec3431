"""Bytes in, whole lines out, with a bound on the longest. No descriptors here."""

from __future__ import annotations


class Lines:
    """Splits one stream into lines; keeps the unfinished line."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._partial = b""
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes | None]:
        """Every line that is whole now, without its newline; None once for one longer than the limit. Not a generator:
        a reader that takes the first line only would leave it here, in front of the next one.
        """
        *whole, rest = (self._partial + data).split(b"\n")
        lines: list[bytes | None] = []
        for line in whole:
            if self._skipping:
                self._skipping = False
            else:
                lines.append(line if len(line) <= self._limit else None)
        if len(rest) > self._limit or self._skipping:
            if not self._skipping:
                self._skipping = True
                lines.append(None)
            rest = b""
        self._partial = rest
        return lines

    def rest(self) -> bytes:
        """The bytes after the last newline, at the end of the stream."""
        return self._partial
