"""The channel between supervisor and server: one inherited socket pair, one JSON object a line, both ways.

The server finds its end in the variable CHANNEL, its listening sockets in LISTEN; it removes both at once.
"""

from __future__ import annotations

from typing import cast

from jupyterd.protocol import codec
from jupyterd.protocol.value import value

CHANNEL = "JUPYTERD_CHANNEL_FD"
"""Environment variable: the number of the inherited socket."""
LISTEN = "JUPYTERD_LISTEN_FDS"
"""Environment variable: "5,6", the inherited listening sockets in the order of Plan.listen."""
SPARE = "JUPYTERD_SPARE"
"""Environment variable: set for a server that imports everything and then waits for Go."""
PROBLEMS = "JUPYTERD_HEARS_PROBLEMS"
"""Environment variable: set by a supervisor that knows the message Problems; others would end the conversation."""
USER_MANAGER, NOT_RECORDED, RECORDER_ENDS = "user-manager", "output-not-kept", "recorder-ends"
"""Codes in Problems."""
LINE_MAX = 65536
"""Bytes; a longer line ends the conversation."""


@value
class Ready:
    """Server: the event loop runs and every inherited socket accepts."""


@value
class Imported:
    """Spare: everything is imported, and it waits for Go."""


@value
class KernelCounts:
    """Server: how many kernels there are and how many of them are busy; sent when it changes, never polled."""

    total: int
    busy: int
    idle: tuple[str, ...] = ()
    """Ids of those that are known to run no cell."""


@value
class Reloaded:
    """Server: the answer to Reload. `problem` is None, or one sentence: then the old state is still in force."""

    live_key: str
    problem: str | None


@value
class Failed:
    """Server: why it cannot start, in one sentence for the person who reads the journal. It exits after it."""

    problem: str


@value
class Problems:
    """Server: everything that is wrong as far as it can see, after Ready and then whenever that changes; () when all is
    well. Only to a supervisor that has set PROBLEMS.
    """

    problems: tuple[tuple[str, str, str, str], ...]
    """(code of core/health.py, what it is about or "", one sentence, what to type)."""


@value
class LookAgain:
    """Server: a file that the planner read has changed, or a renewal is due: another plan is needed."""

    why: str
    """One phrase."""


@value
class Advised:
    """Server: what people should know about its extensions and its Jupyter configuration; all of it each time."""

    items: tuple[tuple[str, str, str], ...]
    """(stable code, what is so, what to type) of each."""
    unsaved: tuple[str, ...] = ()
    """Documents that live in the server (jupyter-collaboration) and are not on disk: names."""


@value
class Go:
    """Supervisor to a spare: read the settings and serve; Ready follows, as from any server."""


@value
class Notice:
    """Supervisor: show this on every page that is open."""

    text: str


@value
class SilentMounts:
    """Supervisor: look at nothing at or below these mount points, because their file systems do not answer; () when
    they do again. All of them each time.
    """

    mounts: tuple[str, ...]


@value
class Reload:
    """Supervisor: read the live settings and the certificate again."""

    live_key: str


FromServer = Ready | Imported | KernelCounts | Reloaded | Failed | Problems | LookAgain | Advised
ToServer = Reload | Go | Notice | SilentMounts

_KINDS = codec.by_name(
    Ready, Imported, KernelCounts, Reloaded, Failed, Problems, LookAgain, Advised, Reload, Go, Notice, SilentMounts
)


def encode(message: FromServer | ToServer) -> bytes:
    """The message as one line, newline included."""
    return codec.encode(message)


def decode(line: bytes) -> FromServer | ToServer:
    """The message of one line. ValueError: it is none of this version."""
    return cast("FromServer | ToServer", codec.decode(line, _KINDS))
