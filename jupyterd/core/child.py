"""The life of one child process, the same for every role: stopped, backing off, spawning, running, stopping, killing.

A running child's stage says how far it is. Here are the transitions; reconcile.py decides when each is made.
"""

from __future__ import annotations

from typing import assert_never

from jupyterd.core.effects import Abandon, Effect, SendableSignal, SendSignal, Spawn
from jupyterd.core.events import Role
from jupyterd.core.reasons import ExitReason, StopReason
from jupyterd.protocol.plan import Command, Listen
from jupyterd.protocol.policy import Policy
from jupyterd.protocol.status import ProcessIdentity
from jupyterd.protocol.value import value


@value
class StartedWith:
    """What a child was started with; compared with the plan to find out whether the child is outdated."""

    key: str
    """Of the server: Plan.server_key; of a helper: its name or program."""
    live_key: str = ""
    listen: tuple[Listen, ...] = ()
    command: Command | None = None
    """Of a spare, which has read no settings yet: its program and environment."""


@value
class Stopped:
    """No process, and none is due."""


@value
class BackingOff:
    """No process before `until` (monotonic), because of how the last one ended."""

    until: float
    reason: ExitReason


@value
class Spawning:
    """Spawn is requested; ChildStarted or SpawnFailed follows in the same turn of the loop."""

    started_with: StartedWith


@value
class Working:
    """A helper at work. `until`: its deadline, None for no limit."""

    deadline: float | None


@value
class Standby:
    """A spare that has imported everything and waits without a deadline."""


@value
class Starting:
    """The server has not said Ready yet."""

    deadline: float


@value
class Verifying:
    """The server said Ready; now every listening socket must answer a probe."""

    deadline: float


@value
class Serving:
    """Every listening socket has answered. `live_key_sent`: the live settings sent to it last.

    `first_inspection` and `last_inspection`: the first and the latest of its process since the first address fell
    silent; None while that address answers.
    """

    since: float
    live_key_sent: str
    first_inspection: Inspection | None = None
    last_inspection: Inspection | None = None
    loop_stood_at: Inspection | None = None
    """The first inspection since its event loop last turned."""
    inspecting: bool = False


@value
class Inspection:
    """One ProcessInspected, and when it came."""

    at: float
    state: str
    ran_s: float
    run_delay_s: float
    turned: float | None
    worked_s: float = 0.0
    waits: str | None = None
    on_disk: bool = False
    request: str = ""
    mount: str = ""


@value
class Finishing:
    """A retired server (busy.py). `doing`: with what it was busy when it was last inspected, `seen`; `look_at`: when it
    is inspected again, None: an inspection is under way; `verdict`: why it has to end.
    """

    since: float
    doing: Works | WaitsForDisk
    seen: Inspection
    look_at: float | None
    verdict: StopReason | None = None


@value
class Works:
    """It uses processor time; or it waits for `what`, a time, another program or the network."""

    what: str = ""


@value
class WaitsForDisk:
    """A thread of it waits in a file system call. `what`: the call, the path and the mount, as a phrase; `mount`: the
    mount point of a file system that has not answered for a while, "" while that is not certain.
    """

    what: str
    mount: str = ""


Stage = Working | Standby | Starting | Verifying | Serving | Finishing


@value
class Running:
    """A process, what it was started with, and its stage."""

    process: ProcessIdentity
    started_with: StartedWith
    stage: Stage


@value
class Patience:
    """For a server that was asked to end and may be busy with a request (busy.py). `server`: as it was before;
    `until`: when it is ended, finished or not (monotonic); `seen`: the inspection when it was asked, and then the last
    one by which it was judged; `last`: one that is not judged yet; `looking`: an inspection is under way; `doing`: with
    what it is busy, None: not known yet.
    """

    server: Running
    until: float
    seen: Inspection | None = None
    last: Inspection | None = None
    looking: bool = False
    doing: Works | WaitsForDisk | None = None


@value
class Stopping:
    """The child was sent a signal to end; SIGKILL follows at `kill_at` (monotonic), unless it has patience."""

    process: ProcessIdentity
    kill_at: float
    reason: StopReason
    patience: Patience | None = None


@value
class Killing:
    """The child was sent SIGKILL; a process that still exists at `abandon_at` (monotonic) is wedged."""

    process: ProcessIdentity
    abandon_at: float
    reason: StopReason


Child = Stopped | BackingOff | Spawning | Running | Stopping | Killing


def spawn(role: Role, command: Command, started_with: StartedWith) -> tuple[Child, tuple[Effect, ...]]:
    """(the child while it is spawned, the Spawn effect)."""
    return Spawning(started_with), (Spawn(role, command),)


def stop(
    child: Running, role: Role, at: float, reason: StopReason, *, signal: SendableSignal = "TERM"
) -> tuple[Child, tuple[Effect, ...]]:
    """(the child while it ends, the signal to send). SIGKILL follows at `at` (monotonic)."""
    return Stopping(child.process, at, reason), (SendSignal(role, child.process.pid, signal),)


def kill(
    child: Running | Stopping, role: Role, now: float, policy: Policy, reason: StopReason
) -> tuple[Child, tuple[Effect, ...]]:
    """(the child after SIGKILL, the signal to send). Policy says how long it may take to disappear."""
    dying = Killing(child.process, now + policy.kill_timeout_s, reason)
    return dying, (SendSignal(role, child.process.pid, "KILL"),)


def abandon(child: Killing, role: Role) -> tuple[Child, tuple[Effect, ...]]:
    """(no child in that role, the Abandon effect): continue without a process that SIGKILL did not end."""
    return Stopped(), (Abandon(role, child.process.pid),)


def process(child: Child) -> ProcessIdentity | None:
    """The child's process; None while it has none."""
    match child:
        case Running() | Stopping() | Killing():
            return child.process
        case Stopped() | BackingOff() | Spawning():
            return None
        case _:
            assert_never(child)


def deadline(child: Child) -> float | None:  # noqa: PLR0911 - one line a state
    """The monotonic time at which this child's state needs attention; None for never."""
    match child:
        case Stopped() | Spawning():
            return None
        case BackingOff():
            return child.until
        case Stopping():
            return child.kill_at
        case Killing():
            return child.abandon_at
        case Running(stage=Serving() | Standby()):
            return None
        case Running(stage=Finishing(look_at=at)):
            return at
        case Running(stage=Working() | Starting() | Verifying() as stage):
            return stage.deadline
        case _:
            assert_never(child)  # type: ignore[arg-type]  # mypy does not narrow through the nested pattern
