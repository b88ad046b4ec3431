"""A machine that is not there: it carries out the core's effects in virtual time, with faults drawn from a seed.

Everything that it does is kept in `log`, so that a failing seed prints what happened and can be replayed.
invariants.py says what must hold after each step.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field, replace
from typing import assert_never

from sim.invariants import Witness
from support.worlds import DISK, V4, V6

from jupyterd.core import step as core
from jupyterd.core.effects import (
    Abandon,
    Bind,
    CancelProbes,
    Effect,
    EndLeftovers,
    InspectProcess,
    Notify,
    Probe,
    Promote,
    Publish,
    Quit,
    Record,
    Retire,
    SendSignal,
    SendToServer,
    ShowBanner,
    Spawn,
)
from jupyterd.core.events import (
    BindFailed,
    Bound,
    ChildExited,
    ChildStarted,
    DeadlineCame,
    Event,
    FrameCame,
    PlanMade,
    ProbeEnded,
    ProcessInspected,
    Role,
    ServerSaid,
    Signal,
    SignalReceived,
    SpawnFailed,
    Started,
    WallClock,
)
from jupyterd.core.reasons import AddressesChanged, SettingsChanged
from jupyterd.core.world import World
from jupyterd.protocol import server_channel
from jupyterd.protocol.gpu_frames import Frame, Gpu
from jupyterd.protocol.plan import Command, Listen, Plan, Refused, Target
from jupyterd.protocol.status import ProcessIdentity
from jupyterd.supervisor.loop import EventHistory

HOUR = 3600.0
YEAR = 365.25 * 86400


@dataclass
class Faults:
    """Chances, each in [0, 1], and times in seconds."""

    crash: float = 0.0
    """That a server ends by itself; then after `life_s` on average."""
    hang: float = 0.0
    busy: float = 0.0
    """That a server gets a request that takes up to an hour, or that waits for a disk as long."""
    never_ready: float = 0.0
    ignores_term: float = 0.0
    wedge: float = 0.0
    spawn_fails: float = 0.0
    planner_refuses: float = 0.0
    planner_dies: float = 0.0
    planner_hangs: float = 0.0
    changes: float = 0.0
    """That a plan brings another server_key, another program or environment for the server, another live_key and
    certificate, or other sockets; each for itself.
    """
    sampler_bad: float = 0.0
    life_s: float = HOUR
    signal_every_s: float = 0.0
    """SIGHUP on average this often; 0: never."""
    trouble_every_s: float = 0.0
    """A port is stolen or the disk is away, on average this often and perhaps from the beginning, for up to
    `trouble_s`.
    """
    trouble_s: float = 600.0


@dataclass
class Fake:
    """One process. `deaf`: SIGTERM does nothing; `stuck`: nor does SIGKILL."""

    role: Role
    pid: int
    command: Command
    sockets: tuple[Listen, ...]
    """Those that it was started with."""
    deaf: bool
    stuck: bool
    started: bool = False
    """ChildStarted has been delivered."""
    signalled: bool = False
    signalled_to_end: bool = False
    imported_at: float = float("inf")
    ready_at: float = 0.0
    mute_from: float = float("inf")
    busy_from: float = 0.0
    busy_until: float = 0.0
    """Answers nothing from the one to the other, everything then: one long synchronous request."""
    on_disk: bool = False
    """It waits for a disk meanwhile, and does not work."""
    kept_waiting: int = 0
    sha256: str = "aa"
    stopped_from: float = float("inf")
    spinning: bool = False
    """Once it is silent it uses all the processor time that it gets: a third."""
    silent: bool = False
    """Its loop turns, and it answers nobody."""
    loaded_until: float = 0.0
    """Answers when it gets there, long before or long after a probe gives up."""
    gone: bool = False

    def is_busy(self, now: float) -> bool:
        """Whether it is inside a long synchronous request."""
        return self.busy_from <= now < self.busy_until


@dataclass
class Machine:
    """The loop and everything around it."""

    seed: int
    faults: Faults
    plan: Plan
    now: float = 1000.0
    imports_s: tuple[float, float] = (0.3, 5.0)
    """How long a spare imports, at least and at most."""
    world: World = field(default_factory=core.start)
    log: list[tuple[float, str, Event | Effect]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.history = EventHistory(self.world)
        self.all_targets = self.plan.targets
        self.queue: list[tuple[float, int, Event]] = []
        self.order = 0
        self.pids = 100
        self.alive: dict[Role, Fake] = {}
        self.abandoned: list[Fake] = []
        self.pending: dict[Target, Probe] = {}
        self.opened: tuple[Listen, ...] = ()
        self.binding = False
        self.quit_at: float | None = None
        self.stop_at: float | None = None
        self.starts = 0
        self.promotions = 0
        self.retirements = 0
        self.misfits = 0
        """Spares that stood by and did not fit the plan any more."""
        self.starved = (0.0, 0.0)
        self.troubles: list[tuple[float, float, str]] = []
        """(begin, end, what): "disk", the host of a socket whose port is stolen, or "all" for both ports."""
        self.records: list[tuple[float, Record]] = []
        self.witness = Witness(self)
        self.keep_log = True

    # --- running ----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """The first event."""
        self._plan_trouble()
        self.feed(Started(self._looked(), WallClock(1.7e9, 0), ProcessIdentity(1, 1)))
        self._plan_signal()

    def story(self, last: int = 40) -> str:
        """The last events and effects."""
        return "\n".join(f"{at:14.3f} {arrow} {what}" for at, arrow, what in self.log[-last:])

    def run(self, until: float) -> None:
        """Until the virtual time `until`, or until it quits."""
        while self.quit_at is None:
            due = core.deadline(self.world)
            event_at = self.queue[0][0] if self.queue else float("inf")
            at = min(event_at, due if due is not None else float("inf"))
            if at > until:
                self.now = until
                return
            self.now = max(self.now, at)
            if event_at <= at:
                _, _, event = heapq.heappop(self.queue)
                self._arrive(event)
            else:
                self.feed(DeadlineCame())

    def later(self, seconds: float, event: Event) -> None:
        """Put an event into the future."""
        self.order += 1
        heapq.heappush(self.queue, (self.now + seconds, self.order, event))

    def feed(self, event: Event) -> None:
        """One step, and the invariants after it."""
        self.witness.heard(event)
        if self.keep_log:
            self.log.append((self.now, " <-", event))
        jitter = self.random.random()
        self.history.add(event, self.now, jitter)
        self.world, effects = core.step(self.world, event, self.now, jitter)
        self.history.end = self.world
        for effect in effects:
            if self.keep_log and not isinstance(effect, Publish):
                self.log.append((self.now, "     ->", effect))
            self.witness.saw(effect)
            self.perform(effect)
        self.witness.check()

    def signal(self, signal: Signal) -> None:
        """A signal arrives now."""
        if signal is not Signal.HUP and self.stop_at is None:
            self.stop_at = self.now
        self.feed(SignalReceived(signal))

    # --- the world around -------------------------------------------------------------------------------------

    def _arrive(self, event: Event) -> None:  # noqa: C901, PLR0912 - one case for each event
        match event:
            case ChildExited(pid=pid, code=code, signal=signal):
                fake = self._fake(pid)
                if fake is None or fake.gone:
                    return
                fake.gone = True
                role = fake.role
                event = ChildExited(role, pid, code, signal)  # a spare may have become the server since
                if self.alive.get(role) is fake:
                    del self.alive[role]
                if role is Role.SERVER:
                    self._fail_probes(fake)
                self.abandoned = [each for each in self.abandoned if each is not fake]
            case ServerSaid(pid=pid):
                fake = self._fake(pid)
                if fake is None or fake.gone:
                    return
            case ChildStarted(pid=pid):
                fake = self._fake(pid)
                assert fake is not None
                fake.started = True
            case Bound():
                self.binding = False
            case ProbeEnded(target=target):
                if target not in self.pending:
                    return
                del self.pending[target]
            case FrameCame():
                if Role.SAMPLER_RELAY not in self.alive:
                    return
                self.later(10.0, event)
            case SignalReceived(signal=Signal.HUP):
                self._plan_signal()
            case SignalReceived() | Started() | SpawnFailed() | ProcessInspected() | PlanMade() | DeadlineCame():
                pass
            case _:
                assert_never(event)
        self.feed(event)

    def _fake(self, pid: int) -> Fake | None:
        return next((each for each in (*self.alive.values(), *self.abandoned) if each.pid == pid), None)

    def _fail_probes(self, fake: Fake) -> None:
        del fake
        for target in list(self.pending):
            self.later(0.0, ProbeEnded(target, "connection reset", None, WallClock(1.7e9, 0)))

    def _plan_signal(self) -> None:
        if self.faults.signal_every_s:
            self.later(self.random.expovariate(1 / self.faults.signal_every_s), SignalReceived(Signal.HUP))

    def _plan_trouble(self) -> None:
        if not self.faults.trouble_every_s:
            return
        at = self.now if self.chance(0.3) else self.now + self.random.expovariate(1 / self.faults.trouble_every_s)
        for _ in range(1000):
            what = self.random.choice(("disk", V4.host, V6.host, "all"))
            self.troubles.append((at, at + self.random.uniform(1, self.faults.trouble_s), what))
            at += self.random.expovariate(1 / self.faults.trouble_every_s)

    def trouble(self, what: str) -> bool:
        """Whether that is away or stolen now."""
        return any(begin <= self.now < end and what == which for begin, end, which in self.troubles)

    def stolen(self, listen: Listen) -> bool:
        """Whether somebody else listens there now."""
        return self.trouble("all") or self.trouble(listen.host)

    def _looked(self) -> Plan:
        """The settings, after a look at the machine."""
        return replace(self.plan, waiting=(DISK,) if self.trouble("disk") else ())

    def chance(self, probability: float) -> bool:
        """Draw."""
        return self.random.random() < probability

    # --- effects ----------------------------------------------------------------------------------------------

    def perform(self, effect: Effect) -> None:  # noqa: C901, PLR0912, PLR0915 - one case for each effect
        match effect:
            case Bind(listen=listen):
                self.opened = tuple(each for each in listen if each in self.opened or not self.stolen(each))
                failed = tuple(BindFailed(each, "busy", "thief (pid 7)") for each in listen if each not in self.opened)
                self.binding = True
                self.later(0.0, Bound(failed))
            case Spawn(role=role, command=command):
                self._spawn(role, command)
            case SendSignal(role=role, pid=pid, signal=name):
                self._signalled(role, pid, name)
            case Abandon(role=role, pid=pid):
                fake = self.alive.pop(role)
                assert fake.pid == pid and fake.stuck, "only what SIGKILL did not end is abandoned"
                self.abandoned.append(fake)
            case Promote(pid=pid):
                spare = self.alive.pop(Role.SPARE)
                assert spare.pid == pid and Role.SERVER not in self.alive, "a spare takes the place of no one"
                assert self.fits(spare), "a spare that does not fit is promoted"
                spare.role = Role.SERVER
                self.alive[Role.SERVER] = spare
                self.promotions += 1
            case SendToServer(message=message):
                self._told(self.alive[Role.SERVER], message)
            case Retire(pid=pid):
                server = self.alive.pop(Role.SERVER)
                assert server.pid == pid and Role.RETIRED not in self.alive, "one retired server at most"
                server.role = Role.RETIRED
                self.alive[Role.RETIRED] = server
                self.retirements += 1
                if self.now < server.busy_until < float("inf"):
                    self.later(server.busy_until - self.now + 0.1, ChildExited(Role.RETIRED, pid, 0, None))
            case InspectProcess(pid=pid):
                fake = self._fake(pid)
                assert fake is not None
                self.later(0.0, self._inspected(fake))
            case Probe(target=target) as probe:
                assert target not in self.pending, "one probe of an address at a time"
                self.pending[target] = probe
                self._answer(probe)
            case EndLeftovers(pid=pid):
                assert self._fake(pid) is None, "a server that lives has left nothing"
            case CancelProbes():
                self.pending.clear()
            case Record() as record:
                self.records.append((self.now, record))
            case Quit():
                self.quit_at = self.now
            case Notify() | Publish() | ShowBanner():
                pass  # seen by the witness
            case _:
                assert_never(effect)

    def _inspected(self, fake: Fake) -> ProcessInspected:
        state = "T" if self.now >= fake.stopped_from else "S"
        works = fake.spinning or (fake.is_busy(self.now) and not fake.on_disk)
        ran_s = 0.3 * self.now if works else 0.0
        waits = "fsync of /mnt/a.ipynb (nfs4 on /mnt)" if fake.on_disk and fake.is_busy(self.now) else None
        delay_s, turned = self.starved_s(self.now), self.turned(fake)
        request = "PUT /api/contents/a.ipynb" if fake.is_busy(self.now) else ""
        return ProcessInspected(fake.pid, state, ran_s, delay_s, turned, ran_s, waits, waits is not None, request)

    def _told(self, server: Fake, message: server_channel.ToServer) -> None:
        match message:
            case server_channel.Go():
                self._server(server, spare=True)
            case server_channel.Reload(live_key=live_key):
                problem = "a broken pair" if self.chance(self.faults.planner_refuses) else None
                if problem is None:
                    server.sha256 = self.sha256()
                self.later(0.01, ServerSaid(server.pid, server_channel.Reloaded(live_key, problem)))
            case server_channel.Notice() | server_channel.SilentMounts():
                pass  # pages show it; its handlers refuse what lies there
            case _:
                assert_never(message)

    def fits(self, fake: Fake) -> bool:
        """Whether it runs what the plan in force says, with the sockets that are open."""
        assert self.world.plan is not None
        return fake.command == self.world.plan.server and fake.sockets == self.opened

    def _spawn(self, role: Role, command: Command) -> None:
        assert role not in self.alive, f"a second {role.value} beside a living one"
        faults = self.faults
        if self.chance(faults.spawn_fails):
            self.later(0.0, SpawnFailed(role, "no memory"))
            return
        self.pids += 1
        deaf, stuck = self.chance(faults.ignores_term), self.chance(faults.wedge)
        fake = Fake(role, self.pids, command, self.opened, deaf, stuck)
        self.alive[role] = fake
        self.later(0.0, ChildStarted(role, fake.pid, self.pids))
        match role:
            case Role.SERVER:
                self._server(fake)
            case Role.SPARE:
                if self.chance(faults.crash / 2):
                    self.later(self.random.uniform(0.0, 600.0), ChildExited(role, fake.pid, 1, None))
                takes = self.random.uniform(*self.imports_s)
                fake.imported_at = self.now + takes
                self.later(takes, ServerSaid(fake.pid, server_channel.Imported()))
            case Role.PLANNER:
                self._planner(fake)
            case Role.SAMPLER_RELAY:
                gpu = Gpu(0, "GPU-0", "RTX 4090", 50.0, 90.0, 1, 2, 60, 300.0, None)
                good = Frame((gpu,), None, None)
                self.later(1.0, FrameCame(None if self.chance(faults.sampler_bad) else good))
                if self.chance(faults.sampler_bad):
                    self.later(self.random.expovariate(1 / HOUR), ChildExited(role, fake.pid, 1, None))
            case Role.ENDER | Role.CULLER:
                self.later(self.random.uniform(0.1, 30.0), ChildExited(role, fake.pid, 0, None))
            case _:
                assert_never(role)

    def sha256(self) -> str:
        """Of the certificate on disk."""
        return self.plan.certificate.sha256 if self.plan.certificate else ""

    def starved_s(self, now: float) -> float:
        """How long everything has waited for a processor until `now`."""
        return max(0.0, min(now, self.starved[1]) - self.starved[0])

    def turned(self, fake: Fake) -> float:
        """When its event loop last did: while it is loaded, one request of up to ten seconds comes after another."""
        now = min(self.now, fake.mute_from)
        if fake.is_busy(now):
            return fake.busy_from
        return now - self.random.uniform(0.0, 10.0) if now < fake.loaded_until else now

    def _server(self, fake: Fake, *, spare: bool = False) -> None:
        self.starts += 1
        faults = self.faults
        fake.sha256 = self.sha256()
        if faults.changes:
            self.later(self.random.expovariate(1 / 600.0), ServerSaid(fake.pid, server_channel.LookAgain("renewed")))
        fake.ready_at = max(self.now, fake.imported_at) + 0.1 if spare else self.now + self.random.uniform(0.3, 5.0)
        if self.chance(faults.never_ready):
            fake.ready_at = float("inf")
        else:
            self.later(fake.ready_at - self.now, ServerSaid(fake.pid, server_channel.Ready()))
            total = self.random.randrange(4)
            counts = server_channel.KernelCounts(total, self.random.randint(0, total))
            self.later(fake.ready_at + 0.2 - self.now, ServerSaid(fake.pid, counts))
        if self.chance(faults.hang):
            fake.mute_from = self.now + self.random.expovariate(1 / faults.life_s)
        if self.chance(faults.busy):
            fake.busy_from = self.now + self.random.expovariate(1 / faults.life_s)
            fake.busy_until = fake.busy_from + self.random.choice((20.0, 600.0, HOUR))
            fake.on_disk = self.chance(0.5)
        if self.chance(faults.crash):
            after = self.random.choice((0.01, 1.0, self.random.expovariate(1 / faults.life_s)))
            self.later(after, ChildExited(Role.SERVER, fake.pid, None, "SIGSEGV"))

    def _planner(self, fake: Fake) -> None:
        faults = self.faults
        if self.chance(faults.planner_hangs):
            return
        answer: Plan | Refused | str = self.plan
        if self.chance(faults.planner_refuses):
            answer = Refused(("jupyterd.toml:3: port: 99999 is not in 1..65535",))
        elif self.chance(faults.planner_dies):
            answer = "killed by SIGSEGV"
        else:
            self._edit()
            answer = self._looked()
        self.later(0.3, PlanMade(answer))
        self.later(0.3, ChildExited(Role.PLANNER, fake.pid, 0, None))

    def _edit(self) -> None:
        """Somebody edits the settings, or the certificate is renewed."""
        draw, changes = self.random.randrange, self.faults.changes
        command, number = self.plan.server, self.plan.server_key[:2]
        if self.chance(changes):
            number = f"s{draw(3)}"
        if self.chance(changes / 2):
            env = ((f"VARIABLE_{draw(2)}", "#1"),)  # as an event log writes the only value that there is
            command = Command(("/bin/jupyter", f"--{draw(2)}"), env, "/")
        key = f"{number} {command.argv} {command.env}" if command.env else number
        self.plan = replace(self.plan, server=command, server_key=key)
        if self.chance(changes / 2):
            both = draw(2) == 0
            targets = self.all_targets if both else tuple(each for each in self.all_targets if each.listener == 0)
            self.plan = replace(self.plan, listen=(V4, V6) if both else (V4,), targets=targets)
        if self.chance(changes):
            number = draw(3)
            pair = replace(self.plan.certificate, sha256=f"c{number}") if self.plan.certificate else None
            self.plan = replace(self.plan, live_key=f"l{number}", certificate=pair)

    def _signalled(self, role: Role, pid: int, name: str) -> None:
        fake = self._fake(pid)
        if fake is None or fake.gone:
            return
        fake.signalled = True
        fake.signalled_to_end = fake.signalled_to_end or name != "USR1"
        self.misfits += role is Role.SPARE and fake.imported_at <= self.now and not self.fits(fake)
        if role is Role.SERVER and self.serving(fake) and self.stop_at is None:
            reason = getattr(self.world.server, "reason", None)
            assert isinstance(reason, SettingsChanged | AddressesChanged), f"a healthy server was signalled: {reason}"
        if name == "KILL" and not fake.stuck:
            self.later(0.01, ChildExited(role, pid, None, "SIGKILL"))
            if role is Role.PLANNER:
                self.later(0.01, PlanMade("killed"))
        elif name == "KILL":
            self.later(self.random.expovariate(1 / (10 * HOUR)), ChildExited(role, pid, None, "SIGKILL"))
        elif name == "TERM" and not fake.deaf and not fake.stuck:
            mute = self.now >= fake.mute_from
            left_s = fake.busy_until - self.now if fake.is_busy(self.now) else 0.0
            if not mute and left_s < float("inf"):  # it does first what it has begun
                self.later(left_s + self.random.uniform(0.0, 2.0), ChildExited(role, pid, 0, None))

    def serving(self, fake: Fake) -> bool:
        """Whether a person would be served now."""
        free = not fake.silent and not fake.is_busy(self.now)
        return fake.ready_at + 1.0 < self.now < fake.mute_from and free

    def _answer(self, probe: Probe) -> None:
        server, made = self.alive.get(Role.SERVER), self.world.plan
        clock = WallClock(1.7e9, 0)
        if server is not None and made is not None and made.listen[probe.target.listener] not in server.sockets:
            self.later(0.001, ProbeEnded(probe.target, "connection refused", None, clock))
            return
        if server is None or server.silent or self.now >= server.mute_from or self.now < server.ready_at:
            self.later(probe.timeout_s, ProbeEnded(probe.target, f"no answer for {probe.timeout_s:.0f} s", None, clock))
            return
        wait = server.busy_until - self.now if server.is_busy(self.now) else 0.0
        if self.now < server.loaded_until:
            wait += self.random.uniform(0.0, 20.0)
        server.kept_waiting += wait > 0
        if wait >= probe.timeout_s:
            self.later(probe.timeout_s, ProbeEnded(probe.target, f"no answer for {probe.timeout_s:.0f} s", None, clock))
        else:
            problem = None if server.sha256 == probe.sha256 else "serves a different certificate than the one on disk"
            self.later(wait + self.random.uniform(0.001, 0.05), ProbeEnded(probe.target, problem, server.sha256, clock))
