"""A server that works or waits for a disk is retired and finishes; one that does neither is ended."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.worlds import NOW, PLAN, PLANNER, SERVER, SPARE, SPARED, after, bad, match, of, play, serving, with_spare

from jupyterd.core import busy, journal_kinds, report
from jupyterd.core.child import Finishing, Inspection, Running, Stopped, Stopping, WaitsForDisk, Works
from jupyterd.core.effects import InspectProcess, Notify, Promote, Record, Retire, SendSignal, SendToServer, Spawn
from jupyterd.core.events import (
    ChildExited,
    ChildStarted,
    DeadlineCame,
    PlanMade,
    ProcessInspected,
    Role,
    Signal,
    SignalReceived,
)
from jupyterd.core.reasons import Unfinished, Unresponsive
from jupyterd.core.world import Wedged, World, plan_of
from jupyterd.protocol.plan import Plan
from jupyterd.protocol.server_channel import Go, SilentMounts
from jupyterd.protocol.status import ProcessIdentity

WAIT = "fsync of /mnt/nas/a.ipynb (nfs4 on /mnt/nas), in folio_wait_bit"
TICK = DeadlineCame()


def looked(
    worked_s: float, waits: str | None = None, *, state: str = "S", turned: float | None = NOW
) -> ProcessInspected:
    """Its loop has stood still since NOW, unless `turned` says otherwise."""
    return ProcessInspected(SERVER, state, 0.0, 0.0, turned, worked_s, waits, on_disk=waits == WAIT)


def silent(
    first: ProcessInspected, last: ProcessInspected, world: World | None = None
) -> tuple[World, tuple[object, ...]]:
    """(the world at NOW + 15, when a server that has not answered since NOW + 4 counts as hung, the effects then)."""
    world = with_spare() if world is None else world
    world = after(world, TICK, now=NOW + 4.0)
    world = after(world, TICK, first, now=NOW + 6.0)
    for each in PLAN.targets[1:]:
        world = after(world, bad(each), now=NOW + 15.0)
    world = after(world, bad(PLAN.targets[0]), now=NOW + 15.0)
    return play(world, TICK, last, now=NOW + 15.0)


def retired(doing: Works | WaitsForDisk, made: Plan = PLAN) -> World:
    """A server was retired at NOW; it is inspected at NOW + 10."""
    seen = Inspection(NOW, "S", 0.0, 0.0, NOW, 0.0, None)
    server = serving(made).server
    assert isinstance(server, Running)
    old = replace(server, process=ProcessIdentity(50, 500), stage=Finishing(NOW, doing, seen, NOW + busy.LOOK_S))
    return replace(serving(made), retired=old)


@pytest.mark.parametrize(
    ("first", "last", "doing"),
    [
        (looked(0.0), looked(0.9), "it works"),
        (looked(5.0), looked(14.0), "it works"),
        (looked(5.0), looked(14.0, WAIT), "it works"),
        (looked(5.0), looked(5.1, WAIT), f"it waits: {WAIT}"),
        (looked(5.0), looked(5.1, "poll"), "it waits: poll"),
        (looked(5.0, WAIT), looked(5.89), None),
        (looked(5.0), looked(5.0), None),
    ],
)
def test_what_works_or_waits_for_a_disk_is_retired_and_what_does_neither_is_ended(
    first: ProcessInspected, last: ProcessInspected, doing: str | None
) -> None:
    world, effects = silent(first, last)
    if doing is None:
        assert isinstance(world.server, Stopping) and world.retired == Stopped()
        assert SendSignal(Role.SERVER, SERVER, "USR1") in effects
        return
    text = f"the server is busy with a request ({doing}); it may finish that while another one serves"
    assert match(Record, kind=journal_kinds.SERVER_BUSY, message=text) in effects
    assert SendSignal(Role.RETIRED, SERVER, "USR1") in effects, "its stack says at what it works"
    assert not [each for each in effects if isinstance(each, SendSignal) and each.signal != "USR1"]
    assert effects.index(Retire(SERVER)) < effects.index(Promote(SPARE))
    assert isinstance(world.retired, Running) and world.retired.process.pid == SERVER
    assert isinstance(world.server, Running) and world.server.process.pid == SPARE
    assert (world.restarts, world.score.value) == (1, 0.0)


def test_a_server_that_is_stopped_is_ended_whatever_it_waits_for() -> None:
    world, effects = silent(looked(0.0, WAIT, state="T"), looked(9.0, WAIT, state="T"))
    assert world.retired == Stopped()
    assert Retire(SERVER) not in effects


def test_one_whose_loop_turns_is_not_retired() -> None:
    world, effects = silent(looked(0.0, turned=NOW + 6.0), looked(9.0, turned=NOW + 14.0))
    assert Retire(SERVER) not in effects
    assert isinstance(world.server, Running) and world.server.process.pid == SERVER


@pytest.mark.parametrize(
    "occupied",
    [
        lambda world: replace(world, retired=retired(Works()).retired),
        lambda world: replace(world, wedged=(Wedged(Role.RETIRED, ProcessIdentity(50, 500), NOW),)),
    ],
    ids=["one finishes", "one is wedged"],
)
def test_there_is_one_at_most(occupied) -> None:
    world, effects = silent(looked(0.0), looked(0.0, WAIT), occupied(with_spare()))
    assert Retire(SERVER) not in effects
    assert isinstance(world.server, Stopping)


@pytest.mark.parametrize(
    ("last", "at", "doing", "verdict"),
    [
        (ProcessInspected(50, "R", 0.0, 0.0, NOW, 1.0), 10.0, Works(), None),
        (ProcessInspected(50, "S", 0.0, 0.0, NOW, 0.0, WAIT, on_disk=True), 10.0, WaitsForDisk(WAIT), None),
        (ProcessInspected(50, "S", 0.0, 0.0, NOW, 0.0, WAIT, on_disk=True), 1e6, WaitsForDisk(WAIT), None),
        (ProcessInspected(50, "S", 0.0, 0.0, NOW, 0.0, "poll"), 10.0, Works("poll"), None),
        (ProcessInspected(50, "S", 0.0, 0.0, NOW, 0.0, "poll"), 1800.0, Works("poll"), Unfinished(1800.0)),
        (ProcessInspected(50, "S", 0.0, 0.0, NOW + 9.0, 0.0), 10.0, Works(), None),  # its loop turns: it answers
        (ProcessInspected(50, "R", 0.0, 0.0, NOW, 179.9), 1799.0, Works(), None),
        (ProcessInspected(50, "R", 0.0, 0.0, NOW, 1e3), 1800.0, Works(), Unfinished(1800.0)),
        (ProcessInspected(50, "S", 0.0, 0.0, NOW + 1799.0, 0.0), 1800.0, Works(), Unfinished(1800.0)),
        (
            ProcessInspected(50, "S", 0.0, 0.0, NOW, 0.5),
            10.0,
            Works(),
            Unresponsive("it neither works nor waits for a disk"),
        ),
    ],
)
def test_how_long_it_has(
    last: ProcessInspected, at: float, doing: Works | WaitsForDisk, verdict: Unfinished | Unresponsive | None
) -> None:
    before = retired(WaitsForDisk("open of /x"))
    assert of(InspectProcess, play(before, TICK, now=NOW + 9.9)[1]) == []
    world, effects = play(before, TICK, now=NOW + at)
    assert match(InspectProcess, pid=50) in effects
    world, effects = play(world, last, now=NOW + at)
    ended = [each for each in of(SendSignal, effects) if each.role is Role.RETIRED]
    if verdict is None:
        assert isinstance(world.retired, Running) and isinstance(world.retired.stage, Finishing)
        assert (world.retired.stage.doing, world.retired.stage.look_at, ended) == (doing, NOW + at + busy.LOOK_S, [])
        return
    assert ended == [SendSignal(Role.RETIRED, 50, "USR1")]
    assert world.retired == Stopping(ProcessIdentity(50, 500), NOW + at + busy.DUMP_S, verdict)
    world, effects = play(world, TICK, now=NOW + at + busy.DUMP_S)
    assert SendSignal(Role.RETIRED, 50, "KILL") in effects


def test_it_is_named_while_it_is_there() -> None:
    world = after(retired(WaitsForDisk(WAIT)), TICK, now=NOW + 1.0)
    (item,) = report.snapshot(world).items
    assert (item.code, item.severity) == ("server-busy", "warning")
    assert item.text == f"an earlier server (pid 50) waits: {WAIT}; a new one serves everybody else"
    assert item.advice.startswith("check that disk; sudo cat /proc/50/stack")
    world, effects = play(world, ChildExited(Role.RETIRED, 50, 0, None), now=NOW + 2.0)
    assert match(Record, message="the retired server has finished and ended") in effects
    assert (world.retired, report.snapshot(world).items) == (Stopped(), ())


def test_one_that_crashes_is_told_and_costs_the_new_server_nothing() -> None:
    before = retired(Works(), SPARED)
    world, effects = play(before, ChildExited(Role.RETIRED, 50, None, "SIGSEGV"), now=NOW + 2.0)
    assert match(Record, message="the retired server was ended by SIGSEGV") in effects
    assert (world.server, world.spare, world.restarts, world.score) == (
        before.server, before.spare, before.restarts, before.score,
    )  # fmt: skip


def test_a_stop_of_the_service_ends_it_too() -> None:
    world, effects = play(retired(WaitsForDisk(WAIT)), SignalReceived(Signal.TERM), now=NOW + 1.0)
    assert SendSignal(Role.RETIRED, 50, "TERM") in effects
    assert isinstance(world.retired, Stopping) and world.retired.kill_at == NOW + 11.0


# --- a mount that does not answer ---------------------------------------------------------------------------------

NAS = "/mnt/nas"


def on_nas(worked_s: float = 0.0, what: str = WAIT, mount: str = NAS) -> ProcessInspected:
    return replace(looked(worked_s, what), on_disk=True, mount=mount)


@pytest.mark.parametrize(
    ("first", "last", "told"),
    [
        (on_nas(), on_nas(), (NAS,)),
        (on_nas(5.0), on_nas(5.04), (NAS,)),
        (on_nas(5.0), on_nas(5.06), ()),  # it writes, slowly
        (on_nas(what="write of /mnt/nas/b"), on_nas(), ()),  # it goes from file to file
        (on_nas(mount=""), on_nas(mount=""), ()),  # a FIFO
        (on_nas(mount="/"), on_nas(mount="/"), ()),  # nothing would be left
    ],
)
def test_the_next_server_is_told_the_mount_before_its_first_request(first, last, told: tuple[str, ...]) -> None:
    world, effects = silent(first, last)
    assert isinstance(world.retired, Running)
    said = [each.message for each in of(SendToServer, effects)]
    assert said == ([Go(), SilentMounts(told)] if told else [Go()])
    assert of(SendToServer, play(world, TICK, now=NOW + 16.0)[1]) == [], "once"


def test_each_next_server_is_told_and_when_the_disk_is_back_as_well() -> None:
    world, _ = silent(on_nas(), on_nas())
    crashed, effects = play(world, ChildExited(Role.SERVER, SPARE, None, "SIGKILL"), now=NOW + 16.0)
    crashed, more = play(crashed, ChildStarted(Role.SERVER, 60, 600), now=NOW + 16.0)
    assert of(SendToServer, effects + more) == [SendToServer(SilentMounts((NAS,)))]
    for event in (ChildExited(Role.RETIRED, SERVER, 0, None), replace(on_nas(0.3), turned=NOW + 24.0)):
        before = after(world, TICK, now=NOW + 25.0)
        assert of(SendToServer, play(before, event, now=NOW + 25.0)[1]) == [SendToServer(SilentMounts(()))], event


# --- asked to end while it is busy --------------------------------------------------------------------------------

STOP = SignalReceived(Signal.TERM)
SAVE = "PUT /api/contents/a.ipynb"


def leaving(pid: int, last: ProcessInspected, world: World, at: float = NOW + 11.0) -> tuple[World, tuple[object, ...]]:
    """(the world at `at`, when a server that was asked to end at NOW + 1 should have ended, the effects then)."""
    first = ProcessInspected(pid, "S", 0.0, 0.0, NOW, 0.0, request=SAVE)
    world = after(world, first, now=NOW + 1.0)
    assert of(SendSignal, play(world, TICK, now=at - 0.01)[1]) == []
    return play(world, TICK, replace(last, pid=pid), now=at)


def stopped() -> World:
    return after(serving(), STOP, now=NOW + 1.0)


def replaced(world: World | None = None) -> World:
    """Another server is wanted, for other settings."""
    world = with_spare() if world is None else world
    hup, planner = SignalReceived(Signal.HUP), ChildStarted(Role.PLANNER, PLANNER, 10 * PLANNER)
    made = PlanMade(replace(plan_of(world), server_key="s1"))
    return after(world, hup, planner, made, ChildExited(Role.PLANNER, PLANNER, 0, None), now=NOW + 1.0)


NOTHING_TO_DO = replace(looked(0.0), request=SAVE)
FINISHES = [
    (replace(looked(1.1), request=SAVE), "it works"),
    (replace(looked(0.0, WAIT), request=SAVE), f"it waits: {WAIT}"),
    (replace(looked(0.0, "poll"), request=SAVE), "it waits: poll"),
    (replace(looked(0.0, turned=NOW + 10.9), request=SAVE), "it works"),  # it answers what it has begun
]


@pytest.mark.parametrize(("last", "doing"), FINISHES)
def test_a_stop_waits_for_a_busy_server_and_says_so_to_systemd_and_to_people(
    last: ProcessInspected, doing: str
) -> None:
    world, effects = leaving(SERVER, last, stopped())
    assert [each for each in of(SendSignal, effects) if each.role is Role.SERVER] == []
    said = f"the server is busy with {SAVE} ({doing}); it has 290 s to finish that (to end it now: {busy.HURRY})"
    assert match(Record, kind=journal_kinds.SERVER_BUSY, message=said) in effects
    (told,) = of(Notify, effects)
    assert told.extend_timeout_s == 90.0
    assert told.status == f"Stopping: the server is busy with {SAVE} ({doing}); it has until 08:05 to finish that"
    world, effects = play(
        world, TICK, replace(last, worked_s=3.1, turned=last.turned and last.turned + 10.0), now=NOW + 21.0
    )
    assert of(Record, effects) == [] and of(Spawn, effects) == [], "it is said once, and kernels are left alone"
    world = after(world, TICK, now=NOW + 31.0)
    world, effects = play(world, ChildExited(Role.SERVER, SERVER, 0, None), now=NOW + 35.0)
    assert match(Spawn, role=Role.ENDER) in effects


@pytest.mark.parametrize("last", [NOTHING_TO_DO, looked(0.0, turned=NOW + 10.9)], ids=["a dead lock", "no request"])
def test_one_that_is_not_busy_is_killed_as_before(last: ProcessInspected) -> None:
    _, effects = leaving(SERVER, last, stopped())
    assert SendSignal(Role.SERVER, SERVER, "KILL") in effects
    _, effects = leaving(SERVER, last, replaced())
    assert SendSignal(Role.SERVER, SERVER, "KILL") in effects
    silent_, effects = play(stopped(), TICK, now=NOW + 11.0)  # not even an inspection
    assert SendSignal(Role.SERVER, SERVER, "KILL") in effects and silent_.server != Stopped()


def test_what_is_cut_when_its_time_is_over_is_named_and_its_stack_is_written() -> None:
    world, _ = leaving(SERVER, FINISHES[1][0], stopped())
    at = NOW + 11.0
    while at < NOW + 301.0:
        at = min(at + busy.LOOK_S, NOW + 301.0)
        world, effects = play(world, TICK, FINISHES[1][0], now=at)
        signals = [each.signal for each in of(SendSignal, effects) if each.role is Role.SERVER]
        assert signals == ([] if at < NOW + 301.0 else ["USR1"]), at
    text = f"the server (pid {SERVER}) has not finished {SAVE} in time (it waits: {WAIT}); it is ended"
    fields = (("JUPYTERD_PID", str(SERVER)),)
    assert match(Record, kind=journal_kinds.SERVER_CUT, message=text, fields=fields) in effects
    _, effects = play(world, TICK, now=at + busy.DUMP_S)
    assert SendSignal(Role.SERVER, SERVER, "KILL") in effects


def test_a_second_interrupt_cuts_it_at_once() -> None:
    world, _ = leaving(SERVER, FINISHES[0][0], stopped())
    _, effects = play(world, SignalReceived(Signal.INT), now=NOW + 12.0)
    assert SendSignal(Role.SERVER, SERVER, "KILL") in effects


def test_a_retired_server_is_waited_for_as_well() -> None:
    world = after(retired(WaitsForDisk(WAIT)), STOP, now=NOW + 1.0)
    _, effects = leaving(50, FINISHES[1][0], world)
    assert SendSignal(Role.RETIRED, 50, "KILL") not in effects
    assert any(SAVE in (each.status or "") for each in of(Notify, effects))


@pytest.mark.parametrize(("last", "doing"), FINISHES)
def test_for_other_settings_a_busy_server_is_retired_and_the_next_one_serves(
    last: ProcessInspected, doing: str
) -> None:
    world, effects = leaving(SERVER, last, replaced())
    assert Retire(SERVER) in effects and match(Promote, pid=SPARE) in effects
    assert isinstance(world.retired, Running) and isinstance(world.retired.stage, Finishing)
    assert (
        match(Record, message=f"the server is busy with {SAVE} ({doing}); it may finish that while another one serves")
        in effects
    )
    assert isinstance(world.server, Running) and world.server.started_with.key == "s1"


def test_while_one_is_retired_already_a_busy_server_is_waited_for() -> None:
    world, effects = leaving(SERVER, FINISHES[0][0], replaced(retired(WaitsForDisk(WAIT))))
    assert isinstance(world.server, Stopping) and of(Retire, effects) == []
    assert SendSignal(Role.SERVER, SERVER, "KILL") not in effects
