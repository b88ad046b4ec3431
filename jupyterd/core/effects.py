"""Effects: what to do, in the imperative. The core decides them, supervisor/perform.py carries them out."""

from __future__ import annotations

from typing import Literal

from jupyterd.core.events import Role
from jupyterd.core.journal_kinds import RecordKind
from jupyterd.protocol import server_channel
from jupyterd.protocol.plan import Command, Listen, Target
from jupyterd.protocol.status import Snapshot
from jupyterd.protocol.value import value

SendableSignal = Literal["TERM", "KILL", "INT", "USR1"]


@value
class Bind:
    """Listen on exactly these addresses: keep open sockets, close the others, open the missing ones. Answer: Bound."""

    listen: tuple[Listen, ...]


@value
class Spawn:
    """Start a child. Server and spare get the listening sockets and the channel, planner and sampler a pipe on
    standard output; every child has its own session. Answer: ChildStarted or SpawnFailed.
    """

    role: Role
    command: Command


@value
class SendSignal:
    """Signal a child by its pidfd. A child that has already ended is not an error."""

    role: Role
    pid: int
    signal: SendableSignal


@value
class Abandon:
    """Forget a child that SIGKILL does not end: watch it only to reap it."""

    role: Role
    pid: int


@value
class Promote:
    """Give the child in the role SPARE the role SERVER."""

    pid: int


@value
class Retire:
    """Give the child in the role SERVER the role RETIRED, and tell it: it accepts nothing any more, closes what is
    idle, lets go of kernels and terminals, answers what it has begun, and ends.
    """

    pid: int


@value
class InspectProcess:
    """Read the state, the processor time and the waits of a server's process. Answer: ProcessInspected."""

    pid: int


@value
class SendToServer:
    """Send a line to the server over its channel."""

    message: server_channel.ToServer


@value
class Probe:
    """One TCP, TLS and HTTP exchange; the loop ends it at `timeout_s`. Answer: ProbeEnded.
    `sha256` is None for plain HTTP.
    """

    target: Target
    path: str
    sha256: str | None
    timeout_s: float


@value
class EndLeftovers:
    """End the programs that a server has left behind: `pid` is that of the server, which has ended."""

    pid: int


@value
class CancelProbes:
    """Close every probe under way, without a ProbeEnded."""


@value
class Notify:
    """Tell systemd, in one datagram, any of READY, RELOADING (with MONOTONIC_USEC, added by the performer),
    STOPPING, STATUS, EXTEND_TIMEOUT.
    """

    ready: bool = False
    reloading: bool = False
    stopping: bool = False
    status: str | None = None
    extend_timeout_s: float | None = None


@value
class Record:
    """One journal record; in a terminal one line. `fields` are upper-case journal field names."""

    kind: RecordKind
    message: str
    fields: tuple[tuple[str, str], ...] = ()


@value
class Publish:
    """Replace the status snapshot."""

    snapshot: Snapshot


@value
class ShowBanner:
    """Foreground only: the server serves for the first time; say where (`urls`, best first) and how to log in."""

    urls: tuple[str, ...]


@value
class Quit:
    """Leave the loop with this exit code."""

    code: int


Effect = (
    Bind
    | Spawn
    | SendSignal
    | Abandon
    | Promote
    | Retire
    | InspectProcess
    | SendToServer
    | Probe
    | EndLeftovers
    | CancelProbes
    | Notify
    | Record
    | Publish
    | ShowBanner
    | Quit
)
