"""What must hold after each step of a simulated machine: that it goes on, and that what it says is true.

The witness keeps what was said to the outside (STATUS=, READY=1, journal, snapshot) and what is so by its own count.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from jupyterd.core import health, journal_kinds
from jupyterd.core import step as core
from jupyterd.core.child import BackingOff
from jupyterd.core.effects import Abandon, CancelProbes, Effect, Notify, Promote, Publish, Record, Retire, ShowBanner
from jupyterd.core.events import (
    Bound,
    ChildExited,
    ChildStarted,
    Event,
    PlanMade,
    ProbeEnded,
    Role,
    ServerSaid,
    SpawnFailed,
)
from jupyterd.protocol import server_channel
from jupyterd.protocol.plan import Listen, Plan
from jupyterd.protocol.status import ProcessIdentity, Snapshot

if TYPE_CHECKING:
    from sim.worlds import Machine

SYSTEMD_S = 90.0
"""TimeoutStartSec= of a unit that says nothing else."""


class Witness:
    """Whoever watches one machine from outside."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.status, self.ready, self.banners = "", False, 0
        self.shown: Snapshot | None = None
        self.reloading_since: float | None = None
        self.killed_at = machine.now + SYSTEMD_S
        """By systemd, unless it is asked for more time or READY=1 comes."""
        self.open_items: Counter[str] = Counter()
        """Raised in the journal and not cleared, by code."""
        self.ends: list[str] = []
        """How each server ended that was not asked to leave for good."""
        self.kernels: dict[int, server_channel.KernelCounts] = {}
        """The last that each server has said of them, by its pid."""
        self.refused = False
        """The last planner had no plan."""
        self.unbound: dict[Listen, float] = {}
        """Sockets that could not be opened, since when."""
        self.answers: dict[str, bool] = {}
        """The last answer of each address, since its server or the plan changed."""
        self.failing: dict[str, tuple[float, bool]] = {}
        """(since when, whether with another certificate)."""
        self.proved: set[Listen] = set()
        """Sockets on which this server has answered well."""
        self.finishes = False
        """It stops, and has said that a busy server finishes a request first."""
        self.crashed = False
        """The event is the end of a server that had served for a moment."""

    # --- what happens ---------------------------------------------------------------------------------------------

    def heard(self, event: Event) -> None:  # noqa: C901, PLR0912 - one case for each event
        """The machine is told this, next."""
        running = self.machine.stop_at is None
        self.crashed = False
        match event:
            case ProbeEnded(target=target, problem=problem, served_sha256=served):
                made = self.machine.world.plan
                self.answers[target.name] = problem is None
                if problem is None and made is not None:
                    self.proved.add(made.listen[target.listener])
                    self.failing.pop(target.name, None)
                else:
                    since, strange = self.failing.get(target.name, (self.machine.now, served is not None))
                    if strange is not (served is not None):
                        since = self.machine.now
                    self.failing[target.name] = since, served is not None
            case ChildStarted(role=Role.SERVER):
                self.proved.clear()
            case ChildExited(role=Role.SERVER, pid=pid, code=code, signal=signal) if running:
                known = self.machine.world.server
                if getattr(getattr(known, "process", None), "pid", None) == pid:
                    self.ends.append(f"ended by {signal}" if signal else f"exit code {code}")
                    self.crashed = self._has_served()
            case SpawnFailed(role=Role.SERVER, problem=problem) if running:
                self.ends.append(problem)
            case ServerSaid(pid=pid, message=server_channel.KernelCounts() as counts):
                server = self.machine.alive.get(Role.SERVER)
                if server is not None and server.pid == pid and not server.signalled:
                    self.kernels[pid] = counts
            case PlanMade(answer=answer) if running:
                self.refused = not isinstance(answer, Plan)
            case Bound(failed=failed):
                listens = {each.listen for each in failed}
                self.unbound = {each: self.unbound.get(each, self.machine.now) for each in listens}
            case _:
                pass

    def saw(self, effect: Effect) -> None:
        """The machine does this."""
        match effect:
            case Notify():
                self._notified(effect)
            case Publish(snapshot=snapshot):
                assert snapshot != self.shown, "a snapshot was published again unchanged"
                self.shown = snapshot
            case Record(kind=kind, fields=fields):
                self.finishes |= kind is journal_kinds.SERVER_BUSY and self.machine.stop_at is not None
                code = dict(fields).get("HEALTH_CODE", "")
                self.open_items[code] += kind in (journal_kinds.ITEM_RAISED, journal_kinds.GPU_RAISED)
                self.open_items[code] -= kind is journal_kinds.ITEM_CLEARED
            case CancelProbes():
                self.answers.clear()
                self.failing.clear()
            case Promote():
                self.proved.clear()
            case Abandon(role=Role.SERVER) | Retire() if self.machine.stop_at is None:
                self.ends.append("")
            case ShowBanner():
                self.banners += 1
            case _:
                pass

    def _notified(self, note: Notify) -> None:
        now = self.machine.now
        if note.status is not None:
            assert note.status != self.status, "STATUS= was said again unchanged"
            self.status = note.status
        if note.reloading:
            assert self.ready and self.reloading_since is None, "RELOADING=1 only when READY=1 was said"
            self.reloading_since = now
        if note.extend_timeout_s is not None:
            assert not self.ready or self.machine.stop_at is not None, "more time was asked for after READY=1"
            self.killed_at = now + note.extend_timeout_s
        if note.ready:
            if not self.ready:
                self._check_serves("READY=1")
            self.ready, self.reloading_since = True, None

    def _check_serves(self, said: str) -> None:
        server = self.machine.alive.get(Role.SERVER)
        assert server is not None and server.ready_at <= self.machine.now, f"{said} without a server that is ready"
        assert server.sockets, f"{said} without a socket"
        assert self.proved.issuperset(server.sockets), f"{said} before each socket answered: {self.proved}"

    def _has_served(self) -> bool:
        if self.shown is None or self.shown.state != "serving":
            return False
        return self.machine.now - self.shown.since >= self.machine.plan.policy.served_s

    # --- what must hold -------------------------------------------------------------------------------------------

    def check(self) -> None:
        """After each step."""
        self._check_progress()
        if self.shown is None:
            raise AssertionError("nothing was published")
        self._check_processes(self.shown)
        self._check_items(self.shown)
        if self.machine.stop_at is None:
            self._check_state(self.shown)
            self._check_troubles(self.shown)

    def _check_progress(self) -> None:
        machine = self.machine
        world, policy, now = machine.world, machine.plan.policy, machine.now
        due = core.deadline(world)
        nothing_queued = not machine.queue or machine.queue[0][0] > now
        if nothing_queued and due is not None and machine.quit_at is None:
            assert due > now, f"a deadline that is acted on and stays: the loop would spin ({due - now})"
        assert core.healthy(world, now), "a machine is overdue right after a step"
        if self.reloading_since is not None:
            longest = policy.planner_timeout_s + policy.start_timeout_s + 20.0
            assert now - self.reloading_since <= longest, "RELOADING=1 was never closed"
        if machine.stop_at is not None:
            longest = policy.stop_timeout_s + policy.kernels_grace_s + 3 * policy.kill_timeout_s + 40.0
            longest += policy.finish_most_s if self.finishes else 0.0
            in_time = now <= max(self.killed_at, machine.stop_at + SYSTEMD_S)
            assert machine.quit_at is not None or in_time, "systemd would have killed what a server finishes"
            assert machine.quit_at is not None or now - machine.stop_at <= longest, f"it does not stop: {world!r}"
            return
        again = self.crashed and isinstance(world.server, BackingOff)
        assert not again or world.crashes > policy.crashes_at_once, "it served, and is not back at once"
        assert self.ready or now <= self.killed_at, "systemd would have killed it: it was not asked for more time"
        assert len(world.conditions) < 50 and len(world.recent) <= 10 and len(world.gpus.frames) < 100
        spare = machine.alive.get(Role.SPARE)
        if spare is not None and spare.started and not spare.signalled and not machine.binding:
            assert machine.fits(spare), "a spare that does not fit is kept"
        server = machine.alive.get(Role.SERVER)
        may_start = world.plan is not None and not world.plan.waiting and machine.opened and not machine.binding
        if server is not None and server.started and not server.signalled and may_start:
            assert machine.fits(server), "a server that does not fit is kept"

    def _check_processes(self, shown: Snapshot) -> None:
        for role, said in ((Role.SERVER, shown.server), (Role.SPARE, shown.spare), (Role.SAMPLER_RELAY, shown.sampler)):
            fake = self.machine.alive.get(role)
            real = fake.pid if fake is not None and fake.started else None
            assert (said.pid if isinstance(said, ProcessIdentity) else None) == real, f"{role} is not {said}"
        known = self.kernels.get(shown.server.pid) if shown.server is not None else None
        assert (shown.kernels, shown.kernels_busy) == ((None, None) if known is None else (known.total, known.busy)), (
            f"kernels: {shown.kernels}"
        )
        assert shown.restarts == len(self.ends), f"{shown.restarts} restarts are shown, {len(self.ends)} happened"
        for each, how in zip(reversed(shown.recent), reversed(self.ends), strict=False):
            asked_for = each.cause.startswith(("was re", "did not"))
            assert asked_for or how in each.cause, f"a restart for {each.cause!r}, and it {how}"
        assert shown.status == self.status, f"the snapshot says {shown.status!r}, STATUS {self.status!r}"
        for address in shown.addresses:
            good = self.answers.get(address.name, False)
            assert address.ok is good, f"{address.name} is shown as {address.ok} and answers: {good}"

    def _check_items(self, shown: Snapshot) -> None:
        codes = Counter(each.code for each in shown.items)
        open_items = +self.open_items
        assert codes == open_items, f"shown {codes}, and the journal has {open_items}"
        visible = {each.condition.kind.code for each in self.machine.world.conditions if each.announced}
        for each in self.machine.world.conditions:
            if each.visible and not each.announced:
                explained = visible.intersection(each.condition.kind.hidden_by)
                assert explained, f"{each.condition.text!r} is hidden, and nothing that is shown explains it"
        if shown.items and shown.state != "waiting":
            assert f"problem: {shown.items[0].text}" in self.status, f"STATUS does not name {shown.items[0]}"
        for item in shown.items if shown.state == "waiting" else ():
            if item.code.startswith(("listen", "root-dir")):
                assert item.text in self.status, f"STATUS does not name {item}"
        for fake in self.machine.abandoned:
            assert any(str(fake.pid) in each.text for each in shown.items), f"wedged {fake.pid} is not shown"

    def _check_state(self, shown: Snapshot) -> None:
        plan = self.machine.world.plan
        ready = plan is not None and not plan.waiting and (self.machine.opened or self.machine.binding)
        match shown.state:
            case "serving":
                self._check_serves("serving")
            case "waiting":
                assert not ready, "it waits, and the machine is ready"
            case "starting" | "restarting" as state:
                assert ready or self.machine.binding, "the machine is not ready, and it does not say so"
                assert (state == "restarting") is self.ready, f"{state}, and READY=1 was said: {self.ready}"
            case state:
                raise AssertionError(f"{state}, and nobody asked it to stop")
        assert self.banners <= self.ready, f"the banner was shown {self.banners} times"
        if self.ready and shown.state == "serving" and all(each.ok or each.detail for each in shown.addresses):
            assert self.banners, "every address has answered or failed, and no banner was shown"

    def _check_troubles(self, shown: Snapshot) -> None:
        now, codes = self.machine.now, {each.code for each in shown.items}
        texts = "\n".join(each.text for each in shown.items)
        if self.refused:
            assert "settings-refused" in codes, "the settings were refused, and nothing says so"
        if shown.state == "restarting" and now >= shown.since + health.SERVER_DOWN.visible_after_s:
            assert "server-down" in codes, "it has not served for a while, and no item says so"
        if shown.state == "waiting" and now >= shown.since + health.WAITING.visible_after_s:
            assert codes & {"root-dir", "listen-busy"}, "it waits, and no item says for what"
        for listen, since in self.unbound.items():
            if now >= since + health.PORT.visible_after_s:
                assert "listen-busy" in codes and f"{listen.host}" in texts, f"{listen} is shut, and no item says so"
        for name, (since, _) in self.failing.items():
            if now >= since + health.ADDRESS_UNREACHABLE.visible_after_s:
                explained = codes & {"server-down", "root-dir"}
                assert explained or name in texts, f"{name} does not answer, and no item says so"
