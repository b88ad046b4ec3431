"""Everything that the supervisor knows, as one immutable value, and the rules that change it.

1. One entry point. `step(world, event, now, jitter)` gives the next world and the effects to carry out. It has no other
   input: no clock, no file, no random number. So a run replays from its events (event_log.py).
2. Wanted and actual are stored apart. `wanted` is Run or Stop, `plan` is what to run; `server`, `spare`, the helpers,
   `sockets` and `probes` say how things are. apply.py takes facts in and decides little; reconcile.py compares wanted
   with actual and acts, rule after rule, until none has anything left to do; report.py reports what is new.
3. Data that exists in one state lives in that state: a pid is in Running, Stopping and Killing, not beside them.
4. One deadline. Each state carries the moment at which it wants attention; `step.deadline` is the earliest of them.
   There is no tick. Every deadline that has come must be acted on in the same step, or the loop would spin.
5. The watchdog attests progress. WATCHDOG=1 is sent only while no deadline is overdue by more than `step.SLACK_S`.
6. One process per role. What has to end gets a signal and a deadline, then SIGKILL (a silent helper: at once) and
   another deadline; what is still there is wedged: named, abandoned, waited for by nobody. A role with a wedged
   helper gets no second one; the server does, because people wait for it.
7. Serving means proved. A server that said Ready serves once each listening socket has answered a probe over TCP, TLS
   and HTTP with the certificate that the plan has; READY=1 follows the first time. One that does not get that far
   before its start deadline is replaced.
8. A probe that fails is doubt, not proof (liveness.py). A server is replaced for silence when no address answers, or
   its process is stopped, not while the machine starves it of processor time, nor, for a while, while its
   event loop turns. One that is busy with a request is not ended but retired (busy.py): it finishes that request while
   another one serves.
9. Restarts follow one decaying score (backoff.py). Only an end that nobody wanted counts (reasons.py), and of those
   only one before the server has served for a moment: a crash after that costs no delay until there have been very many
   in a row, nor does a change of settings or addresses, and the kernels do not notice any of them. A server that is
   abandoned counts, whatever it did before.
10. What the machine lacks is waited for without end: a late disk, a busy port, an absent address. The planner looks
    again, STATUS names it, systemd is asked for more time. Exit code 78 never comes from here: the planner gives it for
    what only an edit of the settings cures, before the supervisor begins.
11. A plan that was asked for is taken over whole. One that nobody asked for (the machine changed, a certificate was
    renewed) brings, while the server serves, its certificate, warnings and live key alone. A refused plan changes
    nothing, and the refusal stays visible.
12. GPU trouble never touches the server. What is unknown is None, never 0, and never taken for idleness.
13. A problem is shown once it has lasted its kind's time, unless another explains it (health.py): one record when it
    becomes visible, one when it is over.

Which rule wins: Stop beats everything (its own rules run in place of the others); deadlines come first in both; a
replacement for changed settings comes before a start, and a start before probes, the spare and the relay.
"""

from __future__ import annotations

from dataclasses import replace

from jupyterd.core import reasons
from jupyterd.core.backoff import Score
from jupyterd.core.child import Child, Running, Serving, Stopped
from jupyterd.core.effects import Effect
from jupyterd.core.events import BindFailed, Role, WallClock
from jupyterd.core.gpu_cull import CullCandidate, CullVerdict
from jupyterd.core.gpu_health import Error
from jupyterd.core.gpu_log import LastLine
from jupyterd.core.health import ActiveCondition
from jupyterd.core.probes import Probing
from jupyterd.core.reasons import ExitReason
from jupyterd.protocol.gpu_frames import Frame, Gpu
from jupyterd.protocol.plan import Listen, Plan, Target, Trouble
from jupyterd.protocol.server_channel import KernelCounts, Problems
from jupyterd.protocol.status import ProcessIdentity, Restart, Snapshot
from jupyterd.protocol.value import value

RECENT = 10
"""Restarts whose causes are remembered."""


@value
class Run:
    """The wanted state while the service runs: a server that serves."""


@value
class Stop:
    """The wanted state after a stop request: no child. `kernels_done`: the ender has run. `hurry`: use SIGKILL."""

    kernels_done: bool = False
    hurry: bool = False


@value
class Unbound:
    """No socket has been requested."""


@value
class Binding:
    """Sockets are requested; Bound follows in the same turn of the loop. `failed`: of the attempt before."""

    asked: tuple[Listen, ...]
    failed: tuple[BindFailed, ...] = ()


@value
class Listening:
    """The sockets that were requested; those in `failed` are not open and are retried at `retry_at` (monotonic)."""

    asked: tuple[Listen, ...]
    failed: tuple[BindFailed, ...]
    retry_at: float | None

    @property
    def open(self) -> tuple[Listen, ...]:
        """The sockets that are open now: `asked` without `failed`."""
        failed = {each.listen for each in self.failed}
        return tuple(each for each in self.asked if each not in failed)


@value
class ReloadRequest:
    """`asked`: somebody wants the settings read and no planner has begun since. `reading`: the planner that runs
    does it. RELOADING=1 stands open until READY=1, which comes at `close_by` whatever happens.
    """

    asked: bool = False
    reading: bool = False
    close_by: float | None = None


@value
class Announced:
    """What was last reported to systemd and to people, so that only changes are reported."""

    ready: bool = False
    reloading: bool = False
    stopping: bool = False
    banner: bool = False
    status: str = ""
    snapshot: Snapshot | None = None
    extend_at: float | None = None
    """While systemd is asked for more time (report.needs_time): when to send EXTEND_TIMEOUT_USEC next (monotonic)."""


@value
class Gpus:
    """Frames since the last log line, the GPUs as shown in the status, why there are no frames (until one comes), the
    last journal line of each GPU, and errors that are not over.
    """

    frames: tuple[Frame, ...] = ()
    log_at: float | None = None
    shown: tuple[Gpu, ...] = ()
    last_frame: Frame | None = None
    problem: str | None = None
    last_lines: tuple[LastLine, ...] = ()
    errors: tuple[Error, ...] = ()


@value
class Warned:
    """A kernel that will be ended soon, and the warning about it."""

    kernel: str
    text: str


@value
class Culling:
    """Kernels that hold GPU memory: all, those with a warning, and those to be ended next."""

    candidates: tuple[CullCandidate, ...] = ()
    warned: tuple[Warned, ...] = ()
    to_end: tuple[CullVerdict, ...] = ()
    ended: tuple[Restart, ...] = ()


@value
class Wedged:
    """A process that SIGKILL did not end."""

    role: Role
    process: ProcessIdentity
    since: float


@value
class World:
    """See the fields' own types. `plan` is None before the first event only."""

    plan: Plan | None = None
    clock: WallClock = WallClock(0.0, 0)
    supervisor: ProcessIdentity = ProcessIdentity(0, 0)
    wanted: Run | Stop = Run()
    sockets: Unbound | Binding | Listening = Unbound()
    server: Child = Stopped()
    retired: Child = Stopped()
    spare: Child = Stopped()
    planner: Child = Stopped()
    sampler_relay: Child = Stopped()
    ender: Child = Stopped()
    culler: Child = Stopped()
    wedged: tuple[Wedged, ...] = ()
    probes: tuple[Probing, ...] = ()
    proved: tuple[Target, ...] = ()
    """Targets that are known to lead to our server (shown.py)."""
    present: tuple[str, ...] = ()
    """The machine's addresses as last seen; (): not yet seen by the supervisor."""
    reload: ReloadRequest = ReloadRequest()
    replan_at: float | None = None
    """When to inspect the machine again (monotonic): it was not ready, or serves another certificate; None: never."""
    refused: tuple[str, ...] = ()
    """Problems of the last settings that were refused; empty when the settings on disk are in force."""
    advised: tuple[Trouble, ...] = ()
    """What the last server said about its extensions and its Jupyter configuration."""
    unsaved: tuple[str, ...] = ()
    """Documents that live in the running server and are not on disk: it is not replaced while nothing forces that."""
    told_silent: tuple[int, tuple[str, ...]] = (0, ())
    """The pid of the server that was told, and the mounts below which it looks at nothing."""
    live_problem: str | None = None
    cannot_start: str | None = None
    score: Score = Score()
    crashes: int = 0
    """In a row, of servers that had served, but for less than `steady_s`."""
    kernels: KernelCounts | None = None
    kernels_of: int = 0
    """The pid of the server that reported it."""
    reported: Problems = Problems(())
    """What the server last said is wrong; of the server before, until a new one has said something."""
    reloads: int = 0
    restarts: int = 0
    recent: tuple[Restart, ...] = ()
    down_since: float | None = 0.0
    """Since when no server serves (monotonic); None while one does."""
    gpus: Gpus = Gpus()
    culling: Culling = Culling()
    conditions: tuple[ActiveCondition, ...] = ()
    state: str = "starting"
    state_since: float = 0.0
    announced: Announced = Announced()
    quitting: bool = False


Step = tuple[World, tuple[Effect, ...]]
"""(the world afterwards, the effects to carry out)."""


def plan_of(world: World) -> Plan:
    """The plan. ValueError before the first event."""
    if world.plan is None:
        raise ValueError("the first event must be Started")
    return world.plan


def child_in(world: World, role: Role) -> Child:  # noqa: PLR0911 - one line a role
    """The child in the role `role`."""
    match role:
        case Role.SERVER:
            return world.server
        case Role.RETIRED:
            return world.retired
        case Role.SPARE:
            return world.spare
        case Role.PLANNER:
            return world.planner
        case Role.SAMPLER_RELAY:
            return world.sampler_relay
        case Role.ENDER:
            return world.ender
        case Role.CULLER:
            return world.culler


def with_child(world: World, role: Role, after: Child) -> World:  # noqa: PLR0911 - one line a role
    """The world with `after` as the child in the role `role`."""
    match role:
        case Role.SERVER:
            return replace(world, server=after)
        case Role.RETIRED:
            return replace(world, retired=after)
        case Role.SPARE:
            return replace(world, spare=after)
        case Role.PLANNER:
            return replace(world, planner=after)
        case Role.SAMPLER_RELAY:
            return replace(world, sampler_relay=after)
        case Role.ENDER:
            return replace(world, ender=after)
        case Role.CULLER:
            return replace(world, culler=after)


def with_restart(world: World, reason: ExitReason, now: float) -> World:
    """The world after one more restart of the server: in the count and among the recent ones."""
    recent = (*world.recent, Restart(now, reasons.text(reason)))[-RECENT:]
    return replace(world, restarts=world.restarts + 1, recent=recent)


def is_wedged(world: World, role: Role) -> bool:
    """Whether a process of that role did not end even after SIGKILL: then no second helper is started."""
    return any(each.role is role for each in world.wedged)


def serves(world: World) -> bool:
    """Whether the server serves (rule 7)."""
    return isinstance(world.server, Running) and isinstance(world.server.stage, Serving)
