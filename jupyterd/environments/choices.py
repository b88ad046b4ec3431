"""What the user has said about environments: which were added, which are hidden, and which is the default.

One 0600 JSON file in the state directory, written by `jupyterd env` and read by the server.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from jupyterd.linux import kept
from jupyterd.linux.kept import Tell
from jupyterd.protocol import documents

FORMAT = 1
FILE = "environments.json"


@dataclass(frozen=True, slots=True)
class Choices:
    """Directories, absolute. `default` "" is the environment that jupyterd makes."""

    added: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    default: str = ""

    def adding(self, path: str) -> Choices:
        """With this one listed wherever it lies."""
        added = self.added if path in self.added else (*self.added, path)
        return Choices(added, tuple(each for each in self.hidden if each != path), self.default)

    def removing(self, path: str) -> Choices:
        """With this one no longer listed, also where a search finds it."""
        added = tuple(each for each in self.added if each != path)
        hidden = self.hidden if path in self.hidden else (*self.hidden, path)
        return Choices(added, hidden, "" if self.default == path else self.default)

    def choosing(self, path: str) -> Choices:
        """With this default; "" for the environment that jupyterd makes."""
        return Choices(self.added, tuple(each for each in self.hidden if each != path), path)


def read(state: Path, tell: Tell = kept.say) -> Choices:
    """None made yet is Choices(); a damaged file is set aside and told. OSError."""
    return kept.load(state / FILE, _decoded, tell) or Choices()


def seen(state: Path) -> Choices:
    """As `read`, but a damaged file stays as it is and counts as none."""
    try:
        return _decoded(kept.read(state / FILE))
    except (OSError, ValueError):
        return Choices()


def write(state: Path, made: Choices, tell: Tell = kept.say) -> None:
    """OSError."""
    kept.directory(state, tell)
    kept.write(state / FILE, json.dumps({"format": FORMAT, **asdict(made)}, indent=1).encode() + b"\n", tell)


def _decoded(data: bytes) -> Choices:
    document = documents.document(data)
    if document.get("format") != FORMAT:
        raise ValueError("is not of this version")
    found = documents.structured(document, Choices)
    if any("\0" in each for each in (*found.added, *found.hidden, found.default)):
        raise ValueError("holds text that no path can be")
    return found
