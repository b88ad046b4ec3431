"""Line numbers for TOML: which line holds which key and which list item. tomllib has none to give.

It reads only text that tomllib has accepted, so it may skip where a parser would judge; where it loses its way it
stops, and a key without a line is reported at the nearest one above it.
"""

from __future__ import annotations

import contextlib
import re
import tomllib

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_PART = r"""(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*'|[A-Za-z0-9_-]+)"""
_KEY = re.compile(rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*")
_STRING = re.compile(
    r'''"""(?:[^\\]|\\.)*?"{3,5}(?!")|\'\'\'.*?\'{3,5}(?!')|"(?:[^"\\\n]|\\.)*"|'[^'\n]*\'''',
    re.DOTALL,
)
_PLAIN = re.compile(r"[^,\]}#\r\n]+")


def line_numbers(text: str) -> dict[Path, int]:
    """Key path -> line (from 1), e.g. ("server", "ip") and ("server", "ip", 0). The first occurrence wins."""
    scanner = _Scanner(text)
    with contextlib.suppress(_LostError, RecursionError):  # the lines found so far are still true
        scanner.document()
    return scanner.found


def line_of(found: dict[Path, int], path: Path) -> int | None:
    """The line of the path, or of the nearest key that contains it."""
    while path:
        if path in found:
            return found[path]
        path = path[:-1]
    return None


class _LostError(Exception):
    """The scanner cannot follow the text."""


class _Scanner:
    """A cursor over the text; `found` fills as it moves."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: dict[Path, int] = {}
        self._counted_to = 0
        self._line = 1
        self._tables: dict[Path, int] = {}

    def document(self) -> None:
        base: Path = ()
        while True:
            self._skip(_BLANK)
            if self.at >= len(self.text):
                return
            if self.text[self.at] == "[":
                base = self._header()
            else:
                self._pair(base)

    def _header(self) -> Path:
        array = self.text.startswith("[[", self.at)
        self.at += 2 if array else 1
        self._skip(_SPACE)
        line = self._here()
        path: Path = self._key()
        self._note(path, line)
        if array:
            index = self._tables.get(path, 0)
            self._tables[path] = index + 1
            path = (*path, index)
            self._note(path, line)
        self._skip(_SPACE)
        self._expect("]]" if array else "]")
        return path

    def _pair(self, base: Path) -> None:
        line = self._here()
        key = self._key()
        for depth in range(1, len(key) + 1):
            self._note((*base, *key[:depth]), line)
        self._skip(_SPACE)
        self._expect("=")
        self._skip(_SPACE)
        self._value((*base, *key))

    def _value(self, path: Path) -> None:
        start = self.text[self.at : self.at + 1]
        if start == "[":
            self._items(path)
        elif start == "{":
            self._inline(path)
        elif start in {'"', "'"}:
            self._skip(_STRING)
        else:
            self._skip(_PLAIN)

    def _items(self, path: Path) -> None:
        self._expect("[")
        index = 0
        while True:
            self._skip(_BLANK)
            if self.text.startswith("]", self.at):
                break
            self._note((*path, index), self._here())
            self._value((*path, index))
            index += 1
            self._skip(_BLANK)
            if not self.text.startswith(",", self.at):
                break
            self.at += 1
        self._expect("]")

    def _inline(self, path: Path) -> None:
        self._expect("{")
        while True:
            self._skip(_BLANK)
            if self.text.startswith("}", self.at):
                break
            self._pair(path)
            self._skip(_BLANK)
            if not self.text.startswith(",", self.at):
                break
            self.at += 1
        self._expect("}")

    def _key(self) -> tuple[str, ...]:
        match = _KEY.match(self.text, self.at)
        if match is None:
            raise _LostError
        self.at = match.end()
        if "." not in match[0] and match[0][0] not in "\"'":
            return (match[0],)
        # tomllib itself undoes the quotes and escapes: one key gives one chain of one-key tables.
        try:
            table = tomllib.loads(f"{match[0]} = 0")
        except ValueError as error:
            raise _LostError from error
        parts = []
        while isinstance(table, dict):
            ((part, table),) = table.items()
            parts.append(part)
        return tuple(parts)

    def _note(self, path: Path, line: int) -> None:
        self.found.setdefault(path, line)

    def _here(self) -> int:
        self._line += self.text.count("\n", self._counted_to, self.at)
        self._counted_to = self.at
        return self._line

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise _LostError
        self.at = match.end()

    def _expect(self, token: str) -> None:
        if not self.text.startswith(token, self.at):
            raise _LostError
        self.at += len(token)
