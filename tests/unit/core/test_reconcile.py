"""What follows from how things are: who is started, replaced, ended, told; by events and by the time that passes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.worlds import (
    DISK,
    LAN,
    LOCAL,
    LOCAL6,
    NOTHING,
    NOW,
    PLAN,
    PLANNER,
    SAMPLER,
    SERVER,
    SPARE,
    SPARED,
    V4,
    V6,
    after,
    bad,
    begun,
    good,
    match,
    of,
    plan,
    play,
    port_taken,
    reloading,
    serving,
    starting,
    verifying,
    waiting,
    with_spare,
)

from jupyterd.core import journal_kinds, report
from jupyterd.core.child import BackingOff, Inspection, Killing, Running, Serving, Spawning, Starting, Stopped, Stopping
from jupyterd.core.effects import (
    Abandon,
    Bind,
    CancelProbes,
    Notify,
    Probe,
    Promote,
    Record,
    SendSignal,
    SendToServer,
    Spawn,
)
from jupyterd.core.events import (
    BindFailed,
    Bound,
    ChildExited,
    ChildStarted,
    DeadlineCame,
    FrameCame,
    PlanMade,
    Role,
    ServerSaid,
    Signal,
    SignalReceived,
    SpawnFailed,
)
from jupyterd.core.reasons import (
    AddressesChanged,
    Exited,
    HelperTimeout,
    SettingsChanged,
    Signalled,
    SpareMisfit,
    StartTimeout,
)
from jupyterd.core.world import Binding, Wedged, World, plan_of, with_child
from jupyterd.protocol.gpu_frames import Frame, Gpu
from jupyterd.protocol.plan import Command, Listen, Plan, Refused
from jupyterd.protocol.policy import Policy
from jupyterd.protocol.server_channel import Advised, Go, Imported, LookAgain, Ready, Reload, Reloaded
from jupyterd.protocol.status import ProcessIdentity

HUP = SignalReceived(Signal.HUP)
TICK = DeadlineCame()
OTHER = Command(("/bin/other", "--flag"), (("A", "1"),), "/srv")
LATER = NOW + 6.0
"""After with_spare."""


def replanned(world: World, new: Plan, now: float = NOW):
    """The planner that somebody asked for by SIGHUP has answered and ended."""
    world = after(world, HUP, ChildStarted(Role.PLANNER, PLANNER, 10 * PLANNER), now=now)
    return play(world, PlanMade(new), ChildExited(Role.PLANNER, PLANNER, 0, None), now=now)


# --- sockets ----------------------------------------------------------------------------------------------------


def test_the_first_thing_is_to_listen_and_then_a_server_is_started() -> None:
    world = begun()
    assert world.sockets == Binding(PLAN.listen)
    assert world.server == Stopped(), "it needs its sockets"
    world, effects = play(world, Bound(()))
    assert of(Spawn, effects) == [Spawn(Role.SERVER, PLAN.server)]
    assert world.server.started_with.listen == (V4, V6)
    assert (world.server.started_with.key, world.server.started_with.live_key) == ("s0", "l0")
    world, effects = play(world, ChildStarted(Role.SERVER, SERVER, 1))
    assert world.server.stage == Starting(NOW + 120.0)
    assert of(Spawn, effects) == []


def test_a_server_is_started_with_the_sockets_that_are_open_and_never_with_none() -> None:
    world, effects = play(port_taken(), TICK, now=NOW + 1.9)
    assert of(Bind, effects) == of(Spawn, effects) == []
    world, effects = play(port_taken(), TICK, now=NOW + 2.0)
    assert of(Bind, effects) == [Bind(PLAN.listen)]
    assert world.sockets.failed, "what is wrong is still told while it is tried again"
    world, effects = play(world, Bound((BindFailed(V6, "busy", "thief"),)), now=NOW + 2.0)
    assert match(Spawn, role=Role.SERVER) in effects
    assert world.server.started_with.listen == (V4,)


def test_other_addresses_are_listened_on_and_the_server_is_restarted_for_them() -> None:
    new = replace(PLAN, listen=(V4, Listen("::1", 8888)))
    world, effects = replanned(serving(), new)
    assert of(Bind, effects) == [Bind(new.listen)]
    assert of(SendSignal, effects) == [], "first the sockets"
    world, effects = play(world, Bound(()))
    assert of(SendSignal, effects) == [SendSignal(Role.SERVER, SERVER, "TERM")]
    assert of(CancelProbes, effects)
    assert replace(world.server, patience=None) == Stopping(world.server.process, NOW + 10.0, AddressesChanged())
    assert (world.probes, world.down_since) == ((), NOW)


def test_an_address_that_comes_late_is_given_to_a_new_server() -> None:
    world = after(begun(), Bound((BindFailed(V6, "absent", ""),)), ChildStarted(Role.SERVER, SERVER, 1))
    world = after(world, ServerSaid(SERVER, Ready()), good(LOCAL), good(LAN))
    assert isinstance(world.server.stage, Serving)
    world = after(world, TICK, now=NOW + 2.0)
    assert isinstance(world.server.stage, Serving), "it goes on while the address is tried again"
    world, effects = play(world, Bound((BindFailed(V6, "absent", ""),)), now=NOW + 2.0)
    assert of(SendSignal, effects) == []
    world = after(world, TICK, now=NOW + 4.0)
    world, effects = play(world, Bound(()), now=NOW + 4.0)
    assert of(SendSignal, effects) == [SendSignal(Role.SERVER, SERVER, "TERM")]
    world, effects = play(world, ChildExited(Role.SERVER, SERVER, 0, None), now=NOW + 4.5)
    assert of(Spawn, effects) == [Spawn(Role.SERVER, PLAN.server)]
    assert world.server.started_with.listen == (V4, V6)
    assert world.down_since == NOW + 4.0


# --- start and restart ------------------------------------------------------------------------------------------


def test_no_server_while_the_machine_is_not_ready() -> None:
    world, effects = play(waiting(), TICK, now=NOW + 1.0)
    assert world.server == Stopped()
    assert of(Spawn, effects) == []


def test_a_changed_setting_that_a_server_cannot_take_over_restarts_it() -> None:
    new = replace(PLAN, server_key="s1", server=OTHER)
    world, effects = replanned(serving(), new)
    assert of(SendSignal, effects) == [SendSignal(Role.SERVER, SERVER, "TERM")]
    assert replace(world.server, patience=None) == Stopping(world.server.process, NOW + 10.0, SettingsChanged())
    assert of(CancelProbes, effects) == [CancelProbes()]
    assert world.down_since == NOW
    world, effects = play(world, ChildExited(Role.SERVER, SERVER, 0, None), now=NOW + 1.0)
    assert of(Spawn, effects) == [Spawn(Role.SERVER, OTHER)]
    assert world.server.started_with.key == "s1"


def test_one_that_starts_is_restarted_too_and_has_been_down_since_before() -> None:
    world, effects = replanned(starting(), replace(PLAN, server_key="s1"), now=NOW + 3.0)
    assert match(SendSignal, role=Role.SERVER, signal="TERM") in effects
    assert world.down_since == NOW


def test_a_server_goes_on_when_the_new_settings_need_a_disk_that_is_away() -> None:
    world, effects = replanned(serving(), replace(PLAN, server_key="s1", waiting=(DISK,)))
    assert of(SendSignal, effects) == []
    assert isinstance(world.server, Running)


def test_a_crashed_server_is_started_again_when_its_rest_is_over() -> None:
    world = after(serving(), ChildExited(Role.SERVER, SERVER, 1, None))
    world = replace(world, server=BackingOff(NOW + 8.0, Exited(1)))
    assert of(Spawn, play(world, TICK, now=NOW + 7.9)[1]) == []
    assert of(Spawn, play(world, TICK, now=NOW + 8.0)[1]) == [Spawn(Role.SERVER, PLAN.server)]


@pytest.mark.parametrize(
    ("world", "reason", "why"),
    [
        (starting(), StartTimeout(120.0, ready=False), "did not report that it is ready within 120 s"),
        (verifying(), StartTimeout(120.0, ready=True), "did not answer on every address within 120 s"),
    ],
    ids=["starting", "verifying"],
)
def test_a_server_that_does_not_come_up_in_time_shows_its_stack_and_is_replaced(
    world: World, reason: StartTimeout, why: str
) -> None:
    assert of(SendSignal, play(world, TICK, now=NOW + 119.9)[1]) == []
    world, effects = play(world, TICK, now=NOW + 120.0)
    assert of(SendSignal, effects) == [SendSignal(Role.SERVER, SERVER, "USR1")]
    assert of(CancelProbes, effects) == [CancelProbes()]
    assert world.server == Stopping(world.server.process, NOW + 120.5, reason)
    said = match(
        Record, kind=journal_kinds.SERVER_EXITED, message=f"the server {why}; it is replaced",
        fields=(("JUPYTERD_PID", str(SERVER)),),
    )  # fmt: skip
    assert said in effects
    world, effects = play(world, TICK, now=NOW + 120.5)
    assert of(SendSignal, effects) == [SendSignal(Role.SERVER, SERVER, "KILL")]
    assert world.server == Killing(world.server.process, NOW + 125.5, reason)


def test_a_helper_that_is_silent_for_too_long_is_killed() -> None:
    world = reloading()
    assert of(SendSignal, play(world, TICK, now=NOW + 59.9)[1]) == []
    world, effects = play(world, TICK, now=NOW + 60.0)
    assert of(SendSignal, effects) == [SendSignal(Role.PLANNER, PLANNER, "KILL")]
    assert world.planner == Killing(world.planner.process, NOW + 65.0, HelperTimeout())


def test_who_even_sigkill_does_not_end_is_named_and_left_behind() -> None:
    world = after(reloading(), TICK, now=NOW + 60.0)
    assert of(Abandon, play(world, TICK, now=NOW + 64.9)[1]) == []
    world, effects = play(world, TICK, now=NOW + 65.0)
    assert of(Abandon, effects) == [Abandon(Role.PLANNER, PLANNER)]
    assert world.planner == Stopped()
    assert world.wedged == (Wedged(Role.PLANNER, ProcessIdentity(PLANNER, 10 * PLANNER), NOW + 65.0),)
    (said,) = [each for each in of(Record, effects) if each.kind is journal_kinds.WEDGED]
    assert f"planner process {PLANNER}" in said.message
    assert said.fields == (("JUPYTERD_PID", str(PLANNER)),)
    world, effects = play(world, HUP, now=NOW + 66.0)
    assert of(Spawn, effects) == [], "never a second beside a wedged one"
    assert match(Record, kind=journal_kinds.RELOAD_REFUSED) in effects
    assert "stuck" in world.refused[0]
    assert not world.reload.asked


@pytest.mark.parametrize("role", list(Role))
def test_each_wedged_process_is_named_by_what_it_is(role: Role) -> None:
    dying = Killing(ProcessIdentity(50, 500), NOW, HelperTimeout())
    world, effects = play(with_child(serving(), role, dying), TICK)
    names = {
        Role.SERVER: "server",
        Role.RETIRED: "retired server",
        Role.SPARE: "spare",
        Role.PLANNER: "planner",
        Role.SAMPLER_RELAY: "sampler relay",
        Role.ENDER: "ender",
        Role.CULLER: "culler",
    }
    text = f"the {names[role]} process 50 does not end even after SIGKILL; going on without it"
    assert match(Record, kind=journal_kinds.WEDGED, message=text) in effects
    assert world.wedged == (Wedged(role, ProcessIdentity(50, 500), NOW),)
    assert Abandon(role, 50) in effects


@pytest.mark.parametrize(
    ("event", "pid", "text"),
    [
        (ChildExited(Role.SERVER, SERVER, 3, None), "7", "the server ended by itself with exit code 3"),
        (ChildExited(Role.SERVER, SERVER, None, "SIGSEGV"), "7", "the server was ended by SIGSEGV"),
        (SpawnFailed(Role.SERVER, "no memory"), "", "the server could not be started: no memory"),
    ],
    ids=["exit", "signal", "no process"],
)
def test_a_crash_is_told_with_its_cause_and_what_follows(event, pid: str, text: str) -> None:
    world = serving() if pid else after(begun(), Bound(()))
    for delay, follows in ((0.0, "started again at once"), (8.0, "next start in 8.0 s")):
        policy = Policy(backoff_first_s=delay)
        _, effects = play(replace(world, plan=replace(PLAN, policy=policy)), event)
        (said,) = [each for each in of(Record, effects) if each.kind is journal_kinds.SERVER_EXITED]
        assert said.message == f"{text}; {follows}"
        assert said.fields == (("JUPYTERD_PID", pid), ("JUPYTERD_DELAY_S", f"{delay:.1f}"))


# --- the spare --------------------------------------------------------------------------------------------------


def test_a_spare_is_made_as_soon_as_the_server_serves() -> None:
    *most, last = SPARED.targets[:2]
    world, effects = play(verifying(SPARED), *map(good, most))
    assert of(Spawn, effects) == []
    world, effects = play(world, good(last))
    assert of(Spawn, effects) == [Spawn(Role.SPARE, SPARED.server)]
    assert of(Spawn, play(world, TICK, now=NOW + 6.0)[1]) == [], "one is enough"


@pytest.mark.parametrize(
    "world",
    [
        serving(PLAN),
        replace(serving(SPARED), spare=Stopped(), wedged=(Wedged(Role.SPARE, ProcessIdentity(50, 1), NOW),)),
        starting(SPARED),
        verifying(SPARED),
    ],
    ids=["not wanted", "wedged", "starting", "verifying"],
)
def test_no_spare(world: World) -> None:
    assert match(Spawn, role=Role.SPARE) not in play(world, TICK, now=NOW + 10.0)[1]


@pytest.mark.parametrize("world", [with_spare(), serving(SPARED)], ids=["stands by", "still imports"])
def test_a_spare_that_fits_takes_over(world: World) -> None:
    world, effects = play(world, ChildExited(Role.SERVER, SERVER, None, "SIGSEGV"), now=LATER)
    assert of(Promote, effects) == [Promote(SPARE)]
    assert of(SendToServer, effects) == [SendToServer(Go())]
    assert of(Spawn, effects) == [Spawn(Role.SPARE, SPARED.server)], "the next one begins: this one may end early"
    assert effects.index(Promote(SPARE)) < effects.index(Spawn(Role.SPARE, SPARED.server))
    assert world.server.process == ProcessIdentity(SPARE, 10 * SPARE)
    assert world.server.stage == Starting(LATER + 120.0)
    assert (world.server.started_with.key, world.server.started_with.live_key, world.server.started_with.listen) == (
        "s0",
        "l0",
        (V4, V6),
    )
    said = match(
        Record, kind=journal_kinds.SERVER_STARTED, message=f"the spare takes over (pid {SPARE})",
        fields=(("JUPYTERD_PID", str(SPARE)),),
    )  # fmt: skip
    assert said in effects


def test_a_server_that_starts_again_has_a_spare_beside_it_from_the_beginning() -> None:
    world = after(replace(serving(SPARED), spare=Stopped()), ChildExited(Role.SPARE, SPARE, None, "SIGKILL"))
    world = replace(world, spare=BackingOff(NOW + 1.0, Signalled("SIGKILL")))
    world, effects = play(world, ChildExited(Role.SERVER, SERVER, None, "SIGKILL"), now=LATER)
    assert of(Spawn, effects) == [Spawn(Role.SERVER, SPARED.server)], "a spare is due with a process, not before it"
    world, effects = play(world, ChildStarted(Role.SERVER, 20, 200), now=LATER)
    assert of(Spawn, effects) == [Spawn(Role.SPARE, SPARED.server)]
    world = after(world, ChildStarted(Role.SPARE, 21, 210), now=LATER)
    world, effects = play(world, ChildExited(Role.SERVER, 20, None, "SIGKILL"), now=LATER)
    assert of(Promote, effects) == [Promote(21)], "half a start is not lost with the server"


def test_what_a_spare_says_about_its_imports_after_it_took_over_changes_nothing() -> None:
    world = after(serving(SPARED), ChildExited(Role.SERVER, SERVER, None, "SIGSEGV"), now=LATER)
    assert play(world, ServerSaid(SPARE, Imported()), now=LATER) == (world, ())


@pytest.mark.parametrize(
    "new",
    [
        replace(SPARED, server=replace(NOTHING, argv=("/bin/other",))),
        replace(SPARED, server=replace(NOTHING, env=(("A", "1"),))),
    ],
    ids=["program", "environment"],
)
def test_a_spare_that_does_not_fit_is_thrown_away_and_never_takes_over(new: Plan) -> None:
    lone = replace(with_spare(), server=BackingOff(NOW + 60.0, Exited(1)), plan=new)
    world, effects = play(lone, TICK, now=LATER)
    assert of(SendSignal, effects) == [SendSignal(Role.SPARE, SPARE, "TERM")]
    assert world.spare == Stopping(world.spare.process, LATER + 1.0, SpareMisfit())
    crashed = replace(with_spare(), server=Stopped(), plan=new)
    world, effects = play(crashed, TICK, now=LATER)
    assert of(Promote, effects) == []
    assert match(Spawn, role=Role.SERVER, command=new.server) in effects
    assert match(SendSignal, role=Role.SPARE, pid=SPARE, signal="TERM") in effects


def test_a_spare_with_other_sockets_does_not_fit_and_nobody_judges_while_they_are_being_opened() -> None:
    new = replace(SPARED, listen=(V4, Listen("::1", 8888)))
    world, effects = replanned(with_spare(), new, now=LATER)
    assert isinstance(world.sockets, Binding)
    assert of(SendSignal, effects) == []
    world, effects = play(world, Bound(()), now=LATER)
    assert of(SendSignal, effects) == [
        SendSignal(Role.SERVER, SERVER, "TERM"),
        SendSignal(Role.SPARE, SPARE, "TERM"),
    ]


def test_a_spare_survives_a_retry_of_a_socket_that_fails_again() -> None:
    part = Bound((BindFailed(V6, "absent", ""),))
    world = after(begun(SPARED), part, ChildStarted(Role.SERVER, SERVER, 1), ServerSaid(SERVER, Ready()))
    world = after(world, good(LOCAL), good(LAN))
    world = after(world, ChildStarted(Role.SPARE, SPARE, 1), ServerSaid(SPARE, Imported()), now=NOW + 1.0)
    assert isinstance(world.spare, Running)
    world, effects = play(world, TICK, part, now=NOW + 8.0)
    assert of(Bind, effects)
    assert of(SendSignal, effects) == []


def test_a_spare_that_is_not_wanted_any_more_is_ended() -> None:
    world, effects = replanned(with_spare(), PLAN, now=LATER)
    assert of(SendSignal, effects) == [SendSignal(Role.SPARE, SPARE, "TERM")]
    world, effects = play(world, ChildExited(Role.SPARE, SPARE, 0, None), TICK, now=NOW + 30.0)
    assert world.spare == Stopped()
    assert of(Spawn, effects) == []


def test_changed_settings_that_a_spare_reads_only_later_keep_it() -> None:
    world, effects = replanned(with_spare(), replace(SPARED, server_key="s1"), now=LATER)
    assert of(SendSignal, effects) == [SendSignal(Role.SERVER, SERVER, "TERM")]
    world, effects = play(world, ChildExited(Role.SERVER, SERVER, 0, None), now=LATER)
    assert of(Promote, effects) == [Promote(SPARE)]
    assert world.server.started_with.key == "s1"


# --- another plan -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "planners"), [(4.9, 0), (5.0, 1), (9.0, 1)])
def test_the_machine_is_looked_at_again_while_it_is_not_ready(seconds: float, planners: int) -> None:
    world = replace(waiting(), replan_at=NOW + 5.0)
    world, effects = play(world, TICK, now=NOW + seconds)
    assert of(Spawn, effects) == [Spawn(Role.PLANNER, NOTHING)] * planners
    if planners:
        assert world.replan_at is None
        assert (world.reload.asked, world.reload.reading) == (False, False), "nobody asked for settings"
        assert of(Spawn, play(world, TICK, now=NOW + seconds)[1]) == []


def test_a_reload_asks_the_planner_and_one_at_a_time() -> None:
    planner = replace(NOTHING, argv=("/bin/plan",))
    world, effects = play(serving(replace(PLAN, planner=planner)), HUP)
    assert of(Spawn, effects) == [Spawn(Role.PLANNER, planner)]
    assert (world.reload.asked, world.reload.reading) == (False, True)
    world, effects = play(world, ChildStarted(Role.PLANNER, PLANNER, 1), HUP)
    assert of(Spawn, effects) == []
    assert world.reload.asked, "settings may have changed since the first began to read"
    world, effects = play(world, PlanMade(PLAN), ChildExited(Role.PLANNER, PLANNER, 0, None))
    assert of(Spawn, effects) == [Spawn(Role.PLANNER, NOTHING)]


def test_a_disk_that_comes_late_starts_the_server() -> None:
    world = after(replace(waiting(), replan_at=NOW), TICK, ChildStarted(Role.PLANNER, PLANNER, 1))
    world, effects = play(world, PlanMade(PLAN))
    assert of(Spawn, effects) == [Spawn(Role.SERVER, PLAN.server)]
    assert world.replan_at is None


def test_a_disk_that_is_still_away_is_looked_for_again() -> None:
    world = after(replace(waiting(), replan_at=NOW), TICK, ChildStarted(Role.PLANNER, PLANNER, 1))
    world = after(world, PlanMade(replace(PLAN, waiting=(DISK,))), now=NOW + 1.0)
    assert world.replan_at == NOW + 6.0


# --- a server that takes over a part of the settings --------------------------------------------------------------


def test_a_serving_server_is_told_once_of_what_it_can_take_over() -> None:
    world, effects = replanned(serving(), replace(PLAN, live_key="l1"))
    assert of(SendToServer, effects) == [SendToServer(Reload("l1"))]
    assert of(SendSignal, effects) == []
    assert of(SendToServer, play(world, TICK, now=NOW + 1.0)[1]) == []
    world = after(world, ServerSaid(SERVER, Reloaded("l1", None)))
    assert world.server.started_with.live_key == "l1"
    assert of(SendToServer, play(world, TICK, now=NOW + 1.0)[1]) == []


def test_one_that_starts_is_told_when_it_serves() -> None:
    world, effects = replanned(verifying(), replace(PLAN, live_key="l1"))
    assert of(SendToServer, effects) == []
    world, effects = play(world, *map(good, PLAN.targets))
    assert of(SendToServer, effects) == [SendToServer(Reload("l1"))]


# --- proof ------------------------------------------------------------------------------------------------------


def test_it_serves_when_every_socket_has_answered() -> None:
    world, effects = play(verifying(), good(LOCAL), good(LAN), now=NOW + 0.5)
    assert match(Record, kind=journal_kinds.SERVING) not in effects
    world, effects = play(world, good(LOCAL6), now=NOW + 0.75)
    stage = world.server.stage
    assert stage == Serving(NOW + 0.75, "l0")
    doubts = (stage.first_inspection, stage.last_inspection, stage.loop_stood_at, stage.inspecting)
    assert doubts == (None, None, None, False)
    said = match(
        Record, kind=journal_kinds.SERVING, message="serving https://gpu.lan:8888/",
        fields=(("JUPYTERD_PID", str(SERVER)), ("JUPYTERD_AWAY_S", "0.750")),
    )  # fmt: skip
    assert said in effects
    assert world.down_since is None
    _, effects = play(replace(verifying(), down_since=None), good(LOCAL), good(LAN), good(LOCAL6), now=NOW + 0.75)
    fields = (("JUPYTERD_PID", str(SERVER)), ("JUPYTERD_AWAY_S", "0.000"))
    assert match(Record, kind=journal_kinds.SERVING, fields=fields) in effects, "nobody had missed it"
    assert match(Notify, ready=True) in effects


def test_after_a_crash_it_says_how_long_nobody_was_served() -> None:
    world = after(with_spare(), ChildExited(Role.SERVER, SERVER, None, "SIGSEGV"), now=LATER)
    world = after(replace(world, cannot_start="no such module"), ServerSaid(SPARE, Ready()), now=LATER + 0.1)
    world, effects = play(world, *map(good, PLAN.targets), now=LATER + 0.25)
    (said,) = [each for each in of(Record, effects) if each.kind is journal_kinds.SERVING]
    assert said.message == "serving https://gpu.lan:8888/ again after 0.25 s"
    assert said.fields == (("JUPYTERD_PID", str(SPARE)), ("JUPYTERD_AWAY_S", "0.250"))
    assert world.cannot_start is None


def test_probes_begin_with_ready_and_go_on_while_it_serves() -> None:
    assert of(Probe, play(begun(), Bound(()), ChildStarted(Role.SERVER, SERVER, 1))[1]) == []
    _, effects = play(starting(), ServerSaid(SERVER, Ready()))
    assert [each.target for each in of(Probe, effects)] == [LOCAL, LOCAL6, LAN]
    world, effects = play(serving(), TICK, now=NOW + 4.0)
    assert [each.target for each in of(Probe, effects)] == [LOCAL]
    assert of(Probe, play(world, TICK, now=NOW + 4.5)[1]) == [], "one at a time"


@pytest.mark.parametrize("start", [waiting, starting, begun])
def test_an_answer_to_a_probe_of_a_server_that_is_gone_changes_nothing(start) -> None:
    world = start()
    assert play(world, good(LOCAL)) == (world, ())
    gone = after(serving(), ChildExited(Role.SERVER, SERVER, 1, None))
    assert after(gone, bad(LOCAL)).server == gone.server


def test_an_answer_ends_all_doubt() -> None:
    seen = Inspection(NOW + 5.0, "S", 1.0, 1.0, NOW)
    stage = replace(serving().server.stage, first_inspection=seen, last_inspection=seen, loop_stood_at=seen)
    world = replace(serving(), server=replace(serving().server, stage=stage))
    world = after(world, TICK, good(LOCAL), now=NOW + 4.0)
    assert world.server.stage == serving().server.stage


# --- the relay of the GPU sampler -----------------------------------------------------------------------------------


def sampled(command: Command | None = NOTHING) -> World:
    world = serving(replace(PLAN, sampler=command))
    return world if command is None else after(world, ChildStarted(Role.SAMPLER_RELAY, SAMPLER, 10 * SAMPLER))


def test_a_relay_exactly_where_the_plan_has_one() -> None:
    started = match(Spawn, role=Role.SAMPLER_RELAY)
    assert begun(plan()).sampler_relay == Spawning(begun(plan()).sampler_relay.started_with)
    assert begun(PLAN).sampler_relay == Stopped()
    assert started not in play(sampled(), TICK)[1], "one is enough"
    world = after(sampled(), ChildExited(Role.SAMPLER_RELAY, SAMPLER, 1, None))
    assert world.sampler_relay == BackingOff(NOW + 20.0, Exited(1))
    assert started not in play(world, TICK, now=NOW + 19.9)[1]
    assert match(Spawn, role=Role.SAMPLER_RELAY, command=NOTHING) in play(world, TICK, now=NOW + 20.0)[1]
    wedged = replace(world, sampler_relay=Stopped(), wedged=(Wedged(Role.SAMPLER_RELAY, ProcessIdentity(50, 1), NOW),))
    assert started not in play(wedged, TICK)[1]


@pytest.mark.parametrize("new", [None, OTHER], ids=["none", "another"])
def test_a_relay_that_the_settings_change_is_ended(new: Command | None) -> None:
    world, effects = replanned(sampled(), replace(PLAN, sampler=new))
    assert of(SendSignal, effects) == [SendSignal(Role.SAMPLER_RELAY, SAMPLER, "TERM")]
    assert world.sampler_relay == Stopping(ProcessIdentity(SAMPLER, 10 * SAMPLER), NOW + 1.0, SettingsChanged())
    world, effects = play(world, ChildExited(Role.SAMPLER_RELAY, SAMPLER, 0, None), now=NOW + 0.5)
    assert of(Spawn, effects) == ([] if new is None else [Spawn(Role.SAMPLER_RELAY, OTHER)])


def test_one_that_waits_and_is_not_wanted_any_more_is_forgotten() -> None:
    world = after(sampled(), ChildExited(Role.SAMPLER_RELAY, SAMPLER, 1, None))
    assert replanned(world, PLAN)[0].sampler_relay == Stopped()


def test_the_same_relay_goes_on_through_a_reload_and_a_silent_one_is_killed() -> None:
    world, effects = replanned(sampled(), replace(PLAN, sampler=NOTHING))
    assert of(SendSignal, effects) == []
    assert match(SendSignal, role=Role.SAMPLER_RELAY) not in play(world, TICK, now=NOW + 24.9)[1]
    effects = play(world, TICK, now=NOW + 25.0)[1]
    assert match(SendSignal, role=Role.SAMPLER_RELAY, pid=SAMPLER, signal="KILL") in effects
    fed = after(world, FrameCame(Frame((), None, None)), now=NOW + 20.0)
    assert match(SendSignal, role=Role.SAMPLER_RELAY) not in play(fed, TICK, now=NOW + 44.9)[1]


# --- the end of a reload --------------------------------------------------------------------------------


def closed(world: World, now: float = NOW) -> bool:
    return after(world, TICK, now=now).reload.close_by is None


def test_a_reload_ends_when_all_that_it_changed_is_in_force() -> None:
    world = after(serving(), HUP)
    assert not closed(world)
    world = after(world, ChildStarted(Role.PLANNER, PLANNER, 1))
    assert not closed(world), "it still reads"
    done = after(world, PlanMade(PLAN))
    assert done.reload.close_by is None, "nothing has changed"
    assert done.reloads == 1
    refused = after(world, PlanMade(Refused(("no",))))
    assert (refused.reload.close_by, refused.reloads) == (None, 1)


def test_a_reload_that_the_server_takes_over_ends_when_it_has() -> None:
    world, _ = replanned(serving(), replace(PLAN, live_key="l1"))
    assert not closed(world, NOW + 1.0)
    assert closed(after(world, ServerSaid(SERVER, Reloaded("l1", None))))
    assert closed(after(world, ServerSaid(SERVER, Reloaded("l1", "a broken pair")))), "refused is an answer too"
    assert not closed(world, NOW + 194.9)
    assert closed(world, NOW + 195.0), "READY=1 comes whatever happens"


def test_a_reload_that_restarts_the_server_ends_when_the_new_one_serves() -> None:
    world, _ = replanned(serving(), replace(PLAN, server_key="s1"))
    assert not closed(world)
    world = after(world, TICK, now=NOW + 10.0)
    assert isinstance(world.server, Killing)
    assert not closed(world, NOW + 10.0)
    world = after(world, ChildExited(Role.SERVER, SERVER, None, "SIGKILL"), now=NOW + 10.1)
    assert isinstance(world.server, Spawning)
    assert not closed(world, NOW + 10.1)
    world = after(world, ChildStarted(Role.SERVER, 70, 1), ServerSaid(70, Ready()), now=NOW + 11.0)
    assert not closed(world, NOW + 11.0)
    assert after(world, *map(good, PLAN.targets), now=NOW + 11.0).reload.close_by is None


def test_a_reload_while_nothing_can_run_ends_at_once() -> None:
    world, _ = replanned(waiting(), replace(PLAN, waiting=(DISK,)))
    assert world.reload.close_by is None


def test_a_look_that_nobody_asked_for_opens_no_reload() -> None:
    world, effects = play(serving(), ServerSaid(SERVER, LookAgain("renewed")))
    assert of(Spawn, effects) == [Spawn(Role.PLANNER, NOTHING)]
    assert world.reload.close_by is None
    assert match(Notify, reloading=True) not in effects
    world = after(world, ChildStarted(Role.PLANNER, PLANNER, 1), PlanMade(replace(PLAN, live_key="l1")))
    assert world.reloads == 0


def test_the_last_figures_of_a_wedged_relay_are_not_current() -> None:
    world, _ = play(serving(), TICK)
    dying = Killing(ProcessIdentity(50, 500), NOW, HelperTimeout())
    seen = replace(world.gpus, shown=(Gpu(0, "GPU-1", "A", 50.0, 60.0, 1, 2, 40, 100.0, None),))
    world, _ = play(with_child(replace(world, gpus=seen), Role.SAMPLER_RELAY, dying), TICK)
    assert world.gpus.shown == ()
    assert world.gpus.problem is not None


def test_a_server_with_documents_that_are_not_on_disk_is_replaced_once_they_are() -> None:
    held = ServerSaid(SERVER, Advised((), ("a.ipynb", "b.py")))
    world = after(serving(), held)
    changed = replace(plan_of(world), server_key="s1")
    world, effects = play(replace(world, plan=changed), DeadlineCame(), now=NOW + 9)
    assert isinstance(world.server, Running) and not of(SendSignal, effects)
    (shown,) = [each for each in report.snapshot(world).items if each.code == "settings-wait"]
    assert shown.text == "the new settings wait: the server has 2 unsaved documents (a.ipynb, b.py)"
    world, effects = play(world, ServerSaid(SERVER, Advised(())), now=NOW + 10)
    assert isinstance(world.server, Stopping)
    assert not [each for each in report.snapshot(world).items if each.code == "settings-wait"]


# --- one address in place of all, and the reverse ------------------------------------------------------------------

ONE = Listen("127.0.0.1", 8888)
TO_ONE = replace(PLAN, listen=(ONE,), targets=(replace(LOCAL, needed=True),))


@pytest.mark.parametrize(
    ("made", "failed", "ends"),
    [
        (TO_ONE, BindFailed(ONE, "busy", "the server that is being replaced"), True),
        (TO_ONE, BindFailed(ONE, "denied", ""), False),
        (replace(TO_ONE, waiting=(DISK,)), BindFailed(ONE, "busy", ""), False),  # none could start
        (replace(TO_ONE, listen=(replace(ONE, port=9999),)), BindFailed(replace(ONE, port=9999), "busy", ""), False),
    ],
)
def test_a_server_that_holds_all_addresses_makes_way_for_one_of_them(
    made: Plan,
    failed: BindFailed,
    ends: bool,  # noqa: FBT001
) -> None:
    world, effects = play(reloading(), PlanMade(made), Bound((failed,)))
    assert (match(SendSignal, role=Role.SERVER) in effects) is ends
    if not ends:
        return
    assert world.reload.close_by is not None  # the reload is not over
    world, effects = play(world, ChildExited(Role.SERVER, SERVER, 0, None))
    assert of(Bind, effects) == [Bind((ONE,))], "at once, and not at the next try"
    world, effects = play(world, Bound(()))
    assert match(Spawn, role=Role.SERVER) in effects
