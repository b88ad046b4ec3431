"""A server that works or waits for a disk is retired and finishes; one that does neither is ended."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.worlds import NOW, PLAN, SERVER, SPARE, SPARED, after, bad, match, of, play, serving, with_spare

from jupyterd.core import busy, journal_kinds, report
from jupyterd.core.child import Finishing, Inspection, Running, Stopped, Stopping, WaitsForDisk, Works
from jupyterd.core.effects import InspectProcess, Promote, Record, Retire, SendSignal
from jupyterd.core.events import ChildExited, DeadlineCame, ProcessInspected, Role, Signal, SignalReceived
from jupyterd.core.reasons import Unfinished, Unresponsive
from jupyterd.core.world import Wedged, World
from jupyterd.protocol.plan import Plan
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
    assert item.advice.startswith("is that disk there? sudo cat /proc/50/stack")
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
