"""Events: what happened, in the past tense. The supervisor's objects make them, core/apply.py applies them."""

from __future__ import annotations

from enum import Enum, unique
from typing import Literal

from jupyterd import text
from jupyterd.protocol import server_channel
from jupyterd.protocol.gpu_frames import Frame
from jupyterd.protocol.plan import Listen, Plan, Refused, Target
from jupyterd.protocol.status import ProcessIdentity
from jupyterd.protocol.value import value


@unique
class Role(Enum):
    """The children that the supervisor may have; at most one of each at a time, wedged ones apart. A spare becomes
    the server by Promote, a server that is busy becomes the retired one by Retire.
    """

    SERVER = "server"
    RETIRED = "retired server"
    SPARE = "spare"
    SAMPLER_RELAY = "sampler relay"
    PLANNER = "planner"
    ENDER = "ender"
    CULLER = "culler"


@unique
class Signal(Enum):
    """The signals that the supervisor acts on. INT counts as TERM the first time and as "at once" the second."""

    HUP = "reload"
    TERM = "stop"
    INT = "interrupt"


@value
class WallClock:
    """Converts monotonic time to a date for people: Unix seconds minus monotonic seconds, and the local
    time zone's distance from UTC. Both are read again for each event that carries one.
    """

    wall_offset_s: float
    utc_offset_s: int

    def unix(self, now: float) -> float:
        """Unix seconds at the monotonic time `now`."""
        return now + self.wall_offset_s

    def moment(self, now: float) -> str:
        """The date and time at the monotonic time `now`, "Sun 2026-11-22 19:05"."""
        return text.moment(self.unix(now), self.utc_offset_s)

    def time_of_day(self, now: float) -> str:
        """The time at the monotonic time `now`, "19:05"."""
        return text.time_of_day(self.unix(now), self.utc_offset_s)


@value
class Started:
    """The first event: the supervisor's loop runs with this plan, in this process."""

    plan: Plan
    clock: WallClock
    supervisor: ProcessIdentity


@value
class SignalReceived:
    """A signal for the supervisor itself."""

    signal: Signal


@value
class ChildStarted:
    """The answer to Spawn: the process exists."""

    role: Role
    pid: int
    started: int
    """Field 22 of /proc/PID/stat."""


@value
class SpawnFailed:
    """The answer to Spawn: the process could not be started; `problem` is the operating system's message."""

    role: Role
    problem: str


@value
class ChildExited:
    """A child's pidfd became readable and the child was reaped. Exactly one of `code` and `signal` is set."""

    role: Role
    pid: int
    code: int | None
    signal: str | None
    """"SIGKILL" and so on."""


@value
class ProcessInspected:
    """The answer to InspectProcess. `state`: field 3 of /proc/PID/stat ("T": stopped), "" if there is no such process;
    `ran_s` and `run_delay_s` are how long it has had a processor and waited for one in all (/proc/PID/schedstat),
    `turned` when its event loop last turned (monotonic; None: it does not say). `worked_s`: processor time of all its
    threads; `waits`: what it waits for, as a phrase, None: for nothing that comes by itself; `on_disk`: that is a file;
    `request`: the requests under way, "PUT /api/contents/a.ipynb", "" for none.
    """

    pid: int
    state: str
    ran_s: float
    run_delay_s: float
    turned: float | None
    worked_s: float = 0.0
    waits: str | None = None
    on_disk: bool = False
    request: str = ""
    mount: str = ""
    """The mount point of the file it waits for, if its file system may be what does not answer."""


@value
class ServerSaid:
    """A line came over the channel from the running server or the spare."""

    pid: int
    message: server_channel.FromServer


@value
class PlanMade:
    """The planner ended with an answer; `problem` in place of one when it had none (crash, garbage)."""

    answer: Plan | Refused | str


@value
class BindFailed:
    """One address could not be bound."""

    listen: Listen
    reason: Literal["busy", "absent", "denied", "other"]
    detail: str
    """For "busy": who holds it, as far as the account may see, else ""; otherwise the system's message."""


@value
class Bound:
    """The answer to Bind: all sockets listen, or those in `failed` do not (the others stay open)."""

    failed: tuple[BindFailed, ...]


@value
class ProbeEnded:
    """The answer to Probe. `problem` is None when all was well, else one phrase: "no answer for 11 s"."""

    target: Target
    problem: str | None
    served_sha256: str | None
    """SHA-256 of the served certificate (hex); None over plain HTTP or if the handshake did not get that far."""
    clock: WallClock
    present: tuple[str, ...] = ()
    """The machine's addresses at that moment (linux/interfaces.py); (): unknown."""


@value
class FrameCame:
    """The sampler sent a frame; None: it sent something that is not a frame."""

    frame: Frame | None


@value
class DeadlineCame:
    """The time that `deadline(world)` returned has come."""


Event = (
    Started
    | SignalReceived
    | ChildStarted
    | SpawnFailed
    | ChildExited
    | ProcessInspected
    | ServerSaid
    | PlanMade
    | Bound
    | ProbeEnded
    | FrameCame
    | DeadlineCame
)
