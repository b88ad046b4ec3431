"""Why the last `jupyterd run` did not become a supervisor: a file in the runtime directory, for `jupyterd status`."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence

import attrs

from jupyterd.linux import files
from jupyterd.settings.paths import Paths
from jupyterd.text import cleaned

NAME = "start-failed.json"


@attrs.frozen
class FailedStart:
    """`at` in Unix seconds; every problem, as it was printed."""

    at: float
    problems: tuple[str, ...]


def note(paths: Paths, problems: Sequence[str]) -> None:
    """Keep them. A runtime directory that cannot be written is told by the start itself."""
    with contextlib.suppress(OSError):
        document = {"at": time.time(), "problems": list(problems)}
        files.replace(paths.runtime / NAME, json.dumps(document, indent=1).encode())


def forget(paths: Paths) -> None:
    """The start succeeds."""
    with contextlib.suppress(OSError):
        (paths.runtime / NAME).unlink()


def read(paths: Paths) -> FailedStart | None:
    """What `note` wrote, fit for a terminal; None when the last start did not fail, or it may not be read."""
    try:
        document = cleaned(json.loads(files.read_untrusted(paths.runtime / NAME)))
        return FailedStart(float(document["at"]), tuple(str(each) for each in document["problems"]))
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
