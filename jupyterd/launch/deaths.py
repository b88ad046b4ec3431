"""How a kernel's process ended, and why, as one phrase for the journal, for `status` and for the notebook.

The last ten deaths are kept in one small file beside the kernels' records: the server writes it, `status` reads it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from jupyterd.launch import notebooks
from jupyterd.launch.registry import Entry
from jupyterd.linux import kept
from jupyterd.linux.kept import Tell
from jupyterd.protocol import documents

NAME = "ended"
_KEPT = 10
_CRASHED = "crashed ({}) in compiled code that the notebook called"
_SIGNALS = {
    "SIGKILL": "killed ({}), by a person or a program of this account or by root",
    **dict.fromkeys(("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT"), _CRASHED),
}
_CODES = {
    0: "it ended by itself (exit code 0)",
    127: "its program could not be started (exit code 127); see its log",
}


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a process ended; None: unknown."""

    code: int | None = None
    """Exit code, when it exited by itself."""
    signal: str | None = None
    """"SIGKILL" and so on, when a signal ended it."""
    result: str = ""
    """systemd's Result= ("oom-kill", "exit-code", ...; systemd.service(5)); "" for a detached process."""


def cause(ending: ExitStatus, *, oom: bool | None, why: str = "") -> str:
    """Why the kernel ended, as one phrase. `oom`: whether the machine killed a process for lack of memory meanwhile;
    None: nobody was there to see. `why`: the phrase of whoever ended it on purpose, "" for nobody.
    """
    if why:
        return why
    if ending.result == "oom-kill" or (ending.signal == "SIGKILL" and oom):
        return "out of memory: it was killed for using more than the machine or its own limit allows"
    if ending.signal == "SIGKILL" and oom is None and not ending.result:
        return "killed (SIGKILL), for lack of memory or by a user: no server was running to see it"
    if ending.signal is not None:
        return _SIGNALS.get(ending.signal, "ended by a signal ({})").format(ending.signal)
    if ending.code is not None:
        return _CODES.get(ending.code, "it ended by itself with exit code {}").format(ending.code)
    return "its end was not observed"


def cause_at_start(cause: str, words: Sequence[str]) -> str:
    """The cause of one that ended before it had said anything; `words`: the last lines that it wrote, [] for none."""
    return f"{cause}, at its start" + (f": {words[-1]}" if words else "")


@dataclass(frozen=True, slots=True)
class RecentDeath:
    """`at` in Unix seconds; `notebook` is "" where none is known; `cause` is one phrase."""

    at: float
    kernel: str
    name: str
    notebook: str
    cause: str


@dataclass(frozen=True, slots=True)
class _Deaths:
    deaths: tuple[RecentDeath, ...]


def note(directory: Path, record: Entry, cause: str, tell: Tell = kept.say) -> None:
    """Add this death to the file, which keeps the last ten. OSError where the disk is full."""
    notebook = notebooks.of_kernel(directory, record.id)
    earlier = kept.load(directory / NAME, decode, tell) or ()
    every = (*earlier, RecentDeath(time.time(), record.id, record.name, notebook, cause))[-_KEPT:]
    kept.write(directory / NAME, json.dumps([asdict(each) for each in every], indent=1).encode(), tell)


def decode(data: bytes) -> tuple[RecentDeath, ...]:
    """The deaths in the file, oldest first. ValueError when it holds something else."""
    return documents.structured({"deaths": documents.parsed(data)}, _Deaths).deaths
