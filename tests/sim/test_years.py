"""Random machines in virtual time. A failing seed prints its last events; `Machine(seed, ...)` replays it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sim.worlds import HOUR, YEAR, Faults, Machine
from support.worlds import plan

from jupyterd.core import journal_kinds
from jupyterd.core.events import ChildExited, Role, Signal
from jupyterd.core.world import serves
from jupyterd.protocol.policy import Policy

CALM = Policy(probe_every_s=12 * HOUR, probe_others_every_s=48 * HOUR, gpu_log_every_s=24 * HOUR, gpu_silence_s=1e12)
"""The same decisions with fewer routine probes, so that years pass in seconds."""

EVERYTHING = Faults(
    crash=0.3, hang=0.3, busy=0.3, never_ready=0.1, ignores_term=0.3, wedge=0.05, spawn_fails=0.05, planner_refuses=0.2,
    planner_dies=0.1, planner_hangs=0.1, changes=0.5, sampler_bad=0.3, signal_every_s=HOUR, trouble_every_s=4 * HOUR,
)  # fmt: skip


def shown(machine: Machine) -> str:
    return f"seed {machine.seed}, last events:\n{machine.story()}"


def played(machine: Machine, until: float) -> None:
    try:
        machine.begin()
        machine.run(until)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{shown(machine)}") from error


@pytest.mark.slow
def test_whatever_happens_the_invariants_hold_and_stop_ends_it() -> None:
    seen: set[str] = set()
    promotions = misfits = 0
    for seed in range(14):
        machine = Machine(seed, EVERYTHING, plan())
        played(machine, 1000.0 + HOUR)
        assert machine.starts > 0, shown(machine)
        machine.signal(Signal.TERM)
        machine.run(machine.now + HOUR)
        assert machine.quit_at is not None, shown(machine)
        assert not machine.alive, f"left behind: {machine.alive}\n{shown(machine)}"
        seen.update(record.kind.event for _, record in machine.records)
        promotions, misfits = promotions + machine.promotions, misfits + machine.misfits
    others = {"note", "trouble", "event-log"}  # the supervisor's own
    others.add(journal_kinds.KERNEL_CULLED.event)  # tests/unit/core/test_gpu_cull_actions.py
    others.add(journal_kinds.NETWORK.event)  # tests/unit/core/test_shown.py
    others.add(journal_kinds.SERVER_CUT.event)  # test_a_stop_lets_a_busy_server_finish_and_names_what_it_cuts
    assert seen == {kind.event for kind in journal_kinds.KINDS} - others, "the worlds do not reach every kind of record"
    assert promotions and misfits, f"{promotions} spares took over, {misfits} did not fit: both must happen"


@pytest.mark.parametrize("seed", range(20))
def test_stop_in_any_phase_leaves_nothing(seed: int) -> None:
    machine = Machine(seed, replace(EVERYTHING, wedge=0.0), plan())
    machine.begin()
    machine.run(1000.0 + machine.random.uniform(0.0, 30.0))
    machine.signal(Signal.INT)
    machine.run(machine.now + machine.random.uniform(0.0, 5.0))
    if machine.quit_at is None:
        machine.signal(Signal.INT)
        machine.run(machine.now + HOUR)
    assert machine.quit_at is not None, shown(machine)
    assert not machine.alive, shown(machine)


@pytest.mark.slow
def test_ten_years_of_a_server_that_crashes_and_hangs_now_and_then() -> None:
    faults = Faults(crash=0.5, hang=1.0, ignores_term=0.2, life_s=30 * 24 * HOUR)
    machine = Machine(1, faults, plan(CALM, sampler=False))
    machine.keep_log = False
    played(machine, 1000.0 + 10 * YEAR)
    assert machine.starts > 50
    machine.faults = Faults()
    machine.run(machine.now + 30 * 24 * HOUR)
    assert serves(machine.world), shown(machine)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(14, 90))
def test_more_random_worlds(seed: int) -> None:
    machine = Machine(seed, EVERYTHING, plan())
    played(machine, 1000.0 + HOUR)
    machine.signal(Signal.TERM)
    machine.run(machine.now + HOUR)
    assert machine.quit_at is not None, shown(machine)
    assert not machine.alive, shown(machine)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_it_heals_by_itself_when_the_causes_go_away(seed: int) -> None:
    machine = Machine(seed, replace(EVERYTHING, wedge=0.0), plan())
    played(machine, 1000.0 + 2 * HOUR)
    machine.faults = Faults()
    machine.troubles = []
    machine.run(machine.now + 600.0)
    server = machine.alive.get(Role.SERVER)
    if server is not None and server.mute_from < float("inf"):  # one from the bad time that hangs only later
        server.mute_from = machine.now
        machine.run(machine.now + 120.0)
    assert serves(machine.world), shown(machine)


def test_a_spare_takes_over_at_once_and_another_is_made() -> None:
    machine = Machine(11, Faults(), plan())
    played(machine, 1060.0)
    first, spare = machine.alive[Role.SERVER].pid, machine.alive[Role.SPARE].pid
    machine.later(0.0, ChildExited(Role.SERVER, first, None, "SIGKILL"))
    machine.run(machine.now + 0.5)
    assert machine.alive[Role.SERVER].pid == spare, shown(machine)
    assert serves(machine.world), shown(machine)
    machine.run(machine.now + 15.0)
    assert Role.SPARE in machine.alive, shown(machine)
    assert machine.promotions == 1


def test_killed_every_two_seconds_it_waits_for_the_spare_at_most() -> None:
    machine = Machine(11, Faults(), plan(), imports_s=(0.3, 2.2))
    played(machine, 1060.0)
    for _ in range(60):
        machine.later(0.0, ChildExited(Role.SERVER, machine.alive[Role.SERVER].pid, None, "SIGKILL"))
        machine.run(machine.now + 2.0)
    back = [dict(each.fields) for at, each in machine.records if at > 1060.0 and each.kind is journal_kinds.SERVING]
    away = [float(each["JUPYTERD_AWAY_S"]) for each in back]
    assert (machine.promotions, len(away)) == (60, 60), "every spare took over, none was thrown away"
    assert max(away) < 1.5 and sum(away) / len(away) < 0.5, away


@pytest.mark.slow
@pytest.mark.parametrize("life_s", [1.2, 3.0, 20.0])
def test_a_crash_loop_of_servers_that_serve_is_bounded_and_forgiven(life_s: float) -> None:
    machine = Machine(59, Faults(), plan(sampler=False), imports_s=(0.3, 1.0))
    played(machine, 1060.0)

    def crash(until: float) -> int:
        starts, since = machine.starts, machine.now
        while machine.now < until:
            machine.run(machine.now + 0.1)
            since = since if serves(machine.world) else machine.now
            if machine.now - since >= life_s:
                machine.later(0.0, ChildExited(Role.SERVER, machine.alive[Role.SERVER].pid, None, "SIGSEGV"))
                machine.run(machine.now)
        return machine.starts - starts

    crash(machine.now + 2 * HOUR)  # more than the budget
    assert machine.world.crashes > Policy().crashes_at_once, shown(machine)
    records = len(machine.records)
    assert crash(machine.now + HOUR) <= 66, "one a minute"
    assert len(machine.records) - records <= 6 * 66, [each.message for _, each in machine.records[-12:]]
    machine.run(machine.now + 200.0)
    machine.later(0.0, ChildExited(Role.SERVER, machine.alive[Role.SERVER].pid, None, "SIGSEGV"))
    machine.run(machine.now + 1.0)
    assert serves(machine.world), "one that served for long is back at once"


def test_a_stopped_server_is_replaced_as_soon_as_it_is_in_doubt() -> None:
    machine = Machine(13, Faults(), plan())
    played(machine, 1060.0)
    stopped = machine.alive[Role.SERVER]
    stopped.mute_from = stopped.stopped_from = machine.now
    stopped.deaf = True
    machine.run(machine.now + 4.0 + 2.0 + 0.6)
    assert stopped.gone, shown(machine)


def test_a_starved_machine_is_no_hang_until_it_is_fed_again() -> None:
    machine = Machine(17, Faults(), plan())
    played(machine, 1060.0)
    slow = machine.alive[Role.SERVER]
    slow.mute_from, slow.deaf = machine.now, True
    machine.starved = (machine.now, machine.now + 60.0)
    machine.run(machine.now + 60.0)
    assert not slow.gone, shown(machine)
    machine.run(machine.now + 60.0)  # the processor is free, and it is still silent
    assert slow.gone, shown(machine)


@pytest.mark.parametrize("starved_s", [0.0, HOUR])
def test_an_hour_of_load_on_all_cores_is_no_hang_and_a_hang_in_it_is_found(starved_s: float) -> None:
    machine = Machine(23, Faults(), plan(sampler=False))
    played(machine, 1060.0)
    server = machine.alive[Role.SERVER]
    server.loaded_until = machine.now + 2 * HOUR
    machine.starved = (machine.now, machine.now + starved_s)
    machine.run(machine.now + HOUR)
    assert server.kept_waiting > 100, "nothing was slow"
    assert "no answer for" in machine.story(last=len(machine.log)), "no probe gave up"
    assert not server.gone, shown(machine)
    server.mute_from, server.deaf = machine.now, True
    machine.run(machine.now + 30.0)
    assert server.gone, shown(machine)


def test_an_endless_loop_has_half_an_hour_also_on_a_starved_machine() -> None:
    machine = Machine(31, Faults(), plan())
    played(machine, 1060.0)
    stuck = machine.alive[Role.SERVER]
    stuck.mute_from, stuck.deaf, stuck.spinning = machine.now, True, True
    machine.starved = (machine.now, machine.now + HOUR)
    machine.run(machine.now + 30.0)
    assert stuck.role is Role.SERVER, shown(machine)  # ten seconds of work would take it as long
    machine.run(machine.now + 30.0)
    assert stuck.role is Role.RETIRED and serves(machine.world), shown(machine)
    machine.run(machine.now + 1700.0)
    assert not stuck.gone, shown(machine)
    machine.run(machine.now + 120.0)
    assert stuck.gone and serves(machine.world), shown(machine)


@pytest.mark.slow
@pytest.mark.parametrize(("on_disk", "takes_s"), [(False, 600.0), (True, 600.0), (True, 3 * HOUR)])
def test_a_long_request_is_finished_while_another_server_serves(on_disk: bool, takes_s: float) -> None:  # noqa: FBT001 - a table
    machine = Machine(37, Faults(), plan())
    played(machine, 1060.0)
    busy = machine.alive[Role.SERVER]
    busy.busy_from, busy.busy_until, busy.on_disk = machine.now, machine.now + takes_s, on_disk
    machine.run(machine.now + 15.6)
    assert busy.role is Role.RETIRED and machine.promotions == 1, shown(machine)
    machine.run(machine.now + 1.0)
    assert serves(machine.world), shown(machine)
    machine.run(busy.busy_until - 1.0)
    assert not busy.gone and not busy.signalled_to_end, shown(machine)
    items = {each.code: each.text for each in (machine.witness.shown.items if machine.witness.shown else ())}
    assert ("/mnt/a.ipynb (nfs4 on /mnt)" in items["server-busy"]) is on_disk, items
    machine.run(machine.now + 3.0)
    assert busy.gone and not machine.world.conditions, shown(machine)


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize(("takes_s", "is_cut"), [(74.0, False), (280.0, False), (HOUR, True)])
def test_a_stop_lets_a_busy_server_finish_and_names_what_it_cuts(takes_s: float, is_cut: bool, on_disk: bool) -> None:  # noqa: FBT001 - a table
    machine = Machine(47, Faults(), plan())
    played(machine, 1060.0)
    busy = machine.alive[Role.SERVER]
    busy.busy_from, busy.busy_until, busy.on_disk = machine.now, machine.now + takes_s, on_disk
    machine.run(machine.now + 1.0)
    machine.signal(Signal.TERM)
    machine.run(machine.now + 20.0)
    assert "busy with PUT /api/contents/a.ipynb" in machine.witness.status, shown(machine)
    machine.run(min(busy.busy_until, 1360.0) - 1.0)
    assert not busy.gone and Role.ENDER not in machine.alive, shown(machine)
    machine.run(machine.now + 80.0)
    cut = [each.message for _, each in machine.records if each.kind is journal_kinds.SERVER_CUT]
    assert machine.quit_at is not None and len(cut) == is_cut, shown(machine)


@pytest.mark.parametrize("takes_s", [74.0, 600.0])
def test_other_settings_let_a_busy_server_finish_while_the_next_one_serves(takes_s: float) -> None:
    machine = Machine(53, Faults(), plan())
    played(machine, 1060.0)
    busy = machine.alive[Role.SERVER]
    busy.busy_from, busy.busy_until = machine.now, machine.now + takes_s
    machine.plan = replace(machine.plan, server_key="s1")
    machine.signal(Signal.HUP)
    machine.run(machine.now + 20.0)
    assert busy.role is Role.RETIRED and serves(machine.world), shown(machine)
    machine.run(busy.busy_until - 1.0)
    assert not busy.gone, shown(machine)
    machine.run(machine.now + 10.0)
    assert busy.gone and not any(each.kind is journal_kinds.SERVER_CUT for _, each in machine.records), shown(machine)


def test_a_second_busy_server_is_ended_and_the_first_one_is_left_alone() -> None:
    machine = Machine(41, Faults(), plan())
    played(machine, 1060.0)
    servers = []
    for _ in range(2):
        servers.append(machine.alive[Role.SERVER])
        servers[-1].busy_from, servers[-1].busy_until, servers[-1].on_disk = machine.now, float("inf"), True
        machine.run(machine.now + 30.0)
        assert serves(machine.world), shown(machine)
    assert (servers[0].role, servers[0].gone, servers[1].gone) == (Role.RETIRED, False, True), shown(machine)
    machine.signal(Signal.TERM)
    machine.run(machine.now + HOUR)
    assert machine.quit_at is not None and not machine.alive, shown(machine)


def test_a_retired_server_that_does_nothing_any_more_is_ended() -> None:
    machine = Machine(43, Faults(), plan())
    played(machine, 1060.0)
    busy = machine.alive[Role.SERVER]
    busy.busy_from, busy.busy_until = machine.now, float("inf")
    machine.run(machine.now + 30.0)
    assert busy.role is Role.RETIRED, shown(machine)
    busy.busy_until, busy.mute_from, busy.deaf = machine.now, machine.now, True
    machine.run(machine.now + 30.0)
    assert busy.gone, shown(machine)


def test_a_loop_that_turns_and_answers_nobody_is_given_a_minute() -> None:
    machine = Machine(29, Faults(), plan())
    played(machine, 1060.0)
    slow = machine.alive[Role.SERVER]
    slow.loaded_until, slow.silent, slow.deaf = float("inf"), True, True
    machine.run(machine.now + 50.0)
    assert not slow.gone, shown(machine)
    machine.run(machine.now + 20.0)
    assert slow.gone, shown(machine)


def test_without_a_spare_wanted_none_is_made() -> None:
    machine = Machine(19, Faults(), plan(Policy(spare=False)))
    played(machine, 1060.0)
    assert Role.SPARE not in machine.alive


def test_a_hung_server_is_replaced_within_fifteen_seconds() -> None:
    machine = Machine(3, Faults(), plan())
    played(machine, 1060.0)
    assert serves(machine.world)
    hung = machine.alive[Role.SERVER]
    hung.mute_from = machine.now
    hung.deaf = True
    machine.run(machine.now + 15.6)
    assert hung.gone, shown(machine)
    machine.run(machine.now + 6.0)
    assert serves(machine.world), shown(machine)


@pytest.mark.parametrize("offset", [0.0, 0.7, 1.9, 3.3])
def test_a_ten_second_request_is_no_hang(offset: float) -> None:
    machine = Machine(5, Faults(), plan())
    played(machine, 1060.0 + offset)
    server = machine.alive[Role.SERVER]
    server.busy_from, server.busy_until = machine.now, machine.now + 10.0
    machine.run(machine.now + 60.0)
    assert server.kept_waiting, "no probe fell into the ten seconds"
    assert not server.gone, shown(machine)


def test_ten_minutes_of_a_crash_loop_write_few_lines() -> None:
    machine = Machine(7, Faults(crash=1.0, life_s=0.01), plan(sampler=False))
    played(machine, 1600.0)
    assert 5 < machine.starts <= 30, machine.starts
    assert len(machine.records) <= 60, [record.message for _, record in machine.records]
    assert "next start at" in machine.witness.status or "Starting" in machine.witness.status


def test_a_stolen_port_is_named_and_taken_back_within_five_seconds() -> None:
    machine = Machine(9, Faults(), plan())
    machine.troubles = [(0.0, 1300.0, "all")]
    played(machine, 1290.0)
    assert machine.starts == 0
    assert "in use by thief (pid 7)" in machine.witness.status
    machine.run(1300.0 + 2.0 + 6.0)  # the last six are for a server that starts from nothing
    assert serves(machine.world), shown(machine)
    assert machine.witness.ready
