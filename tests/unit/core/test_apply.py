"""What each event changes, and which events change nothing because they come too late or from somebody else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.worlds import (
    CLOCK,
    DISK,
    ENDER,
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
    stopping,
    verifying,
    waiting,
    with_spare,
)

from jupyterd.core import journal_kinds, report, step
from jupyterd.core.backoff import Score
from jupyterd.core.child import BackingOff, Killing, Running, Serving, Spawning, Standby, Stopped
from jupyterd.core.effects import (
    Abandon,
    Bind,
    CancelProbes,
    EndLeftovers,
    Probe,
    Quit,
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
from jupyterd.core.reasons import Exited, NotStarted
from jupyterd.core.world import World
from jupyterd.protocol.gpu_frames import Frame, Gpu
from jupyterd.protocol.plan import Certificate, Command, Plan, Refused, Trouble
from jupyterd.protocol.policy import Policy
from jupyterd.protocol.server_channel import (
    Failed,
    FromServer,
    Imported,
    KernelCounts,
    LookAgain,
    Problems,
    Ready,
    Reload,
    Reloaded,
)
from jupyterd.protocol.status import ProcessIdentity, Restart

HUP, TERM, INT = (SignalReceived(each) for each in (Signal.HUP, Signal.TERM, Signal.INT))
CRASH = ChildExited(Role.SERVER, SERVER, None, "SIGSEGV")
PLANNED = ChildExited(Role.PLANNER, PLANNER, 0, None)
PROBLEM = "jupyterd.toml:3: port: 99999 is not in 1..65535"


def messages(world: World, *events: Event, now: float = NOW) -> list[str]:
    """The journal's lines, without those of health items."""
    items = (journal_kinds.ITEM_RAISED, journal_kinds.ITEM_CLEARED)
    return [each.message for each in of(Record, play(world, *events, now=now)[1]) if each.kind not in items]


def items(world: World) -> list[tuple[str, str]]:
    """(code, text) of what `jupyterd status` shows as wrong."""
    return [(each.code, each.text) for each in report.snapshot(world).items]


def replanning(made: Plan = PLAN) -> World:
    """A planner runs that nobody asked for: the server has seen that a file changed."""
    world = after(serving(made), ServerSaid(SERVER, LookAgain("/c.pem changed")))
    return after(world, ChildStarted(Role.PLANNER, PLANNER, 90))


# --- the start and signals ----------------------------------------------------------------------------------------


def test_the_first_event_brings_plan_clock_and_notes() -> None:
    made = replace(PLAN, notes=("no NVIDIA driver: GPU lines are off",))
    world, effects = play(step.start(), Started(made, CLOCK, ProcessIdentity(1, 10)))
    assert (world.plan, world.clock, world.supervisor) == (made, CLOCK, ProcessIdentity(1, 10))
    assert (world.down_since, world.state_since) == (NOW, NOW)
    assert Record(journal_kinds.NOTE, "no NVIDIA driver: GPU lines are off") in effects
    assert of(Bind, effects) == [Bind((V4, V6))]


@pytest.mark.parametrize(
    ("signals", "said", "signalled"),
    [
        ([TERM], "asked to stop by SIGTERM", ["TERM"]),
        ([INT], "asked to stop by SIGINT", ["TERM"]),
        ([TERM, TERM], "asked to stop by SIGTERM", ["TERM"]),
        ([TERM, INT], "asked to stop by SIGTERM", ["TERM", "KILL"]),
        ([INT, INT], "asked to stop by SIGINT", ["TERM", "KILL"]),
        ([TERM, HUP], "asked to stop by SIGTERM", ["TERM"]),
    ],
)
def test_signals(signals: list[Event], said: str, signalled: list[str]) -> None:
    world, effects = play(serving(), *signals)
    assert [each.message for each in of(Record, effects)] == [said]
    assert [each.signal for each in of(SendSignal, effects)] == signalled
    assert not of(Spawn, effects)
    assert not world.reload.asked


def test_sighup_starts_one_planner_and_another_one_afterwards() -> None:
    world, effects = play(serving(), HUP, HUP)
    assert of(Spawn, effects) == [Spawn(Role.PLANNER, NOTHING)]
    world, effects = play(world, ChildStarted(Role.PLANNER, PLANNER, 90), HUP, PlanMade(PLAN))
    assert not of(Spawn, effects)
    world, effects = play(world, PLANNED)
    assert of(Spawn, effects) == [Spawn(Role.PLANNER, NOTHING)]


# --- answers that come too late, or from somebody else ------------------------------------------------------------


def said(pid: int, message: FromServer) -> ServerSaid:
    return ServerSaid(pid, message)


@pytest.mark.parametrize(
    ("world", "event"),
    [
        (serving(), ChildStarted(Role.SERVER, 99, 990)),
        (serving(), ChildStarted(Role.ENDER, 99, 990)),
        (serving(), ChildExited(Role.SERVER, 99, 0, None)),
        (serving(), ChildExited(Role.SPARE, 99, 0, None)),
        (serving(), ChildExited(Role.PLANNER, 99, 0, None)),
        (serving(), said(99, Ready())),
        (serving(), said(99, KernelCounts(7, 7))),
        (serving(), said(99, Failed("x"))),
        (serving(), said(99, Reloaded("l9", "x"))),
        (serving(), said(99, LookAgain("x"))),
        (serving(), said(99, Imported())),
        (serving(), said(SERVER, Ready())),  # twice: its probes are not begun again
        (serving(), said(SERVER, Imported())),
        (with_spare(), said(SPARE, KernelCounts(7, 7))),
        (with_spare(), said(SPARE, Ready())),
        (with_spare(), said(SPARE, LookAgain("x"))),
        (verifying(), said(SERVER, Ready())),
        (serving(), ProcessInspected(99, "T", 0.0, 0.0, None)),
        (starting(), ProcessInspected(SERVER, "T", 0.0, 0.0, None)),
        (serving(), Bound((BindFailed(V4, "busy", "thief"),))),
        (serving(), good(LOCAL)),
        (serving(), bad(LOCAL)),  # its probe was answered before
        (starting(), good(LOCAL)),
        (stopping(), PlanMade(replace(PLAN, live_key="l9"))),
        (stopping(), PlanMade(Refused(("x",)))),
        (stopping(), said(99, Ready())),
        (serving(), FrameCame(None)),  # no sampler is wanted
        (serving(), DeadlineCame()),
    ],
)
def test_what_changes_nothing(world: World, event: Event) -> None:
    assert play(world, event) == (world, ())


def test_after_the_end_nothing_changes_any_more() -> None:
    world = after(stopping(), CRASH, ChildStarted(Role.ENDER, ENDER, 110))
    world, effects = play(world, ChildExited(Role.ENDER, ENDER, 0, None))
    assert of(Quit, effects) == [Quit(0)]
    assert play(world, HUP, DeadlineCame(), CRASH, now=NOW + 99) == (world, ())


# --- the server ---------------------------------------------------------------------------------------------------


def test_a_started_server_has_its_time_to_say_that_it_is_ready() -> None:
    world, effects = play(after(begun(), Bound(())), ChildStarted(Role.SERVER, SERVER, 70), now=NOW + 1)
    told = Record(journal_kinds.SERVER_STARTED, "started the Jupyter server (pid 7)", (("JUPYTERD_PID", "7"),))
    assert told in effects
    assert step.deadline(replace(world, announced=replace(world.announced, extend_at=None))) == NOW + 1 + 120


@pytest.mark.parametrize(
    ("event", "how"),
    [
        (ChildExited(Role.SERVER, SERVER, 3, None), "the server ended by itself with exit code 3"),
        (ChildExited(Role.SERVER, SERVER, 0, None), "the server ended by itself with exit code 0"),
        (ChildExited(Role.SERVER, SERVER, None, "SIGKILL"), "the server was ended by SIGKILL"),
    ],
)
def test_an_end_that_nobody_asked_for_is_told_counted_and_made_good(event: Event, how: str) -> None:
    world, effects = play(serving(), event, now=NOW + 50)
    assert match(Record, kind=journal_kinds.SERVER_EXITED, message=f"{how}; started again at once") in effects
    assert CancelProbes() in effects
    assert EndLeftovers(SERVER) in effects
    assert (world.restarts, world.recent) == (1, (Restart(NOW + 50, how.removeprefix("the server ")),))
    assert (world.score, world.down_since, world.probes) == (Score(0.0, NOW + 50), NOW + 50, ())
    assert isinstance(world.server, BackingOff | Spawning)


def test_a_server_that_cannot_be_spawned_is_a_failure_like_any_other() -> None:
    world = replace(after(begun(), Bound(())), score=Score(3.0, NOW))
    world, effects = play(world, SpawnFailed(Role.SERVER, "no memory"))
    assert match(Record, message="the server could not be started: no memory; next start in 2.0 s") in effects
    assert world.server == BackingOff(NOW + 2.0, NotStarted("no memory"))


def test_an_end_while_stopping_is_no_restart() -> None:
    world, effects = play(stopping(), CRASH)
    assert (world.restarts, world.score, world.server) == (0, Score(), Stopped())
    assert not [each for each in of(Record, effects) if each.kind is journal_kinds.SERVER_EXITED]
    assert of(Spawn, effects) == [Spawn(Role.ENDER, NOTHING)]


def test_an_end_that_was_asked_for_is_counted_and_is_no_failure() -> None:
    world = after(reloading(), PlanMade(replace(PLAN, server_key="s1")), PLANNED)
    world = after(world, ChildExited(Role.SERVER, SERVER, 0, None))
    assert (world.restarts, world.score.value) == (1, 0.0)
    assert world.recent == (Restart(NOW, "was restarted for changed settings"),)
    assert isinstance(world.server, Spawning)


def test_why_it_cannot_start_is_an_item_until_it_serves() -> None:
    world = after(starting(), said(SERVER, Failed("/c.pem: the key does not fit")))
    assert items(world) == [("server-cannot-start", "/c.pem: the key does not fit")]
    assert report.snapshot(world).items[0].advice == "journalctl -t jupyterd-server -n 50"
    world = after(world, ChildExited(Role.SERVER, SERVER, 1, None), ChildStarted(Role.SERVER, 17, 170))
    assert items(world) == [("server-cannot-start", "/c.pem: the key does not fit")]
    world = after(world, said(17, Ready()), *map(good, PLAN.targets))
    assert items(world) == []


def test_kernels_are_those_of_the_server_that_says_so() -> None:
    world = after(serving(), said(SERVER, KernelCounts(3, 1)))
    assert (world.kernels, world.kernels_of) == (KernelCounts(3, 1), SERVER)
    assert (report.snapshot(world).kernels, report.snapshot(world).kernels_busy) == (3, 1)
    for gone in (after(world, CRASH), after(world, CRASH, ChildStarted(Role.SERVER, 17, 170))):
        assert (report.snapshot(gone).kernels, report.snapshot(gone).kernels_busy) == (None, None)


GONE = ("user-manager", "", "the user manager of alice was stopped", "sudo systemctl start user@1001.service")


@pytest.mark.parametrize(
    ("reported", "shown"),
    [
        ((), []),
        ((GONE,), [("user-manager", "error", GONE[2])]),
        ((("of-a-later-version", "x", "text", "advice"),), [("of-a-later-version", "warning", "text")]),
        ((GONE, ("recorder-ends", "", "again", "a")), [("user-manager", "error", GONE[2])]),  # the one explains it
    ],
)
def test_what_the_server_reports_is_shown_until_it_says_otherwise(
    reported: tuple[tuple[str, str, str, str], ...], shown: list[tuple[str, str, str]]
) -> None:
    world = after(serving(), said(SERVER, Problems(reported)))
    assert [(each.code, each.severity, each.text) for each in report.snapshot(world).items] == shown
    assert items(after(world, said(SERVER, Problems(())))) == []
    assert items(after(serving(), said(99, Problems(reported)))) == []


def test_what_a_server_reported_is_claimed_until_the_next_one_speaks_or_ten_seconds() -> None:
    world = after(serving(), said(SERVER, Problems((GONE,))), CRASH, ChildStarted(Role.SERVER, 17, 170))
    assert ("user-manager", GONE[2]) in items(after(world, DeadlineCame(), now=NOW + 9))
    late = after(world, DeadlineCame(), now=NOW + 10)
    assert "user-manager" not in [code for code, _ in items(late)]
    world = after(world, said(17, Ready()), *map(good, PLAN.targets))
    assert items(world) == [("user-manager", GONE[2])]
    assert items(after(world, said(17, Problems(())))) == []


def test_a_recorder_that_is_missing_for_a_moment_is_no_problem() -> None:
    world = after(serving(), said(SERVER, Problems((("output-not-kept", "", "no recorder", "look"),))))
    assert items(world) == []
    assert step.deadline(world) is not None
    assert items(after(world, DeadlineCame(), now=NOW + 3)) == [("output-not-kept", "no recorder")]


def test_a_spare_that_has_imported_everything_waits() -> None:
    (spare,) = [with_spare().spare]
    assert isinstance(spare, Running) and spare.stage == Standby()


def test_a_spare_that_ends_by_itself_is_made_again_after_a_minute() -> None:
    world = after(with_spare(), ChildExited(Role.SPARE, SPARE, 1, None), now=NOW + 10)
    assert world.spare == BackingOff(NOW + 70, Exited(1))
    assert (world.restarts, world.score) == (0, Score())


# --- plans: asked for ---------------------------------------------------------------------------------------------


def refused_by(answer: Refused | str) -> World:
    return after(reloading(), PlanMade(answer), PLANNED)


@pytest.mark.parametrize(
    ("answer", "problems"),
    [
        (Refused((PROBLEM,)), [PROBLEM]),
        (Refused((PROBLEM, "b")), [PROBLEM, "b"]),
        ("killed by SIGSEGV", ["the settings could not be read: killed by SIGSEGV"]),
    ],
)
def test_a_refused_reload_leaves_an_item_until_one_is_accepted(answer: Refused | str, problems: list[str]) -> None:
    world, effects = play(reloading(), PlanMade(answer), PLANNED)
    lines = [each.message for each in of(Record, effects) if each.kind is journal_kinds.RELOAD_REFUSED]
    assert lines == [f"reload refused: {each}" for each in problems]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    assert items(world) == [("settings-refused", problems[0] + more)]
    assert report.snapshot(world).refused == tuple(problems)
    assert world.plan == PLAN
    assert isinstance(world.server, Running) and isinstance(world.server.stage, Serving)
    world = after(world, DeadlineCame(), now=NOW + 3)
    assert items(world) == [("settings-refused", problems[0] + more)]
    world = after(world, HUP, ChildStarted(Role.PLANNER, PLANNER, 90), PlanMade(PLAN), now=NOW + 4)
    assert items(world) == []


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        (SpawnFailed(Role.PLANNER, "no memory"), "the planner could not be started: no memory"),
        (ChildExited(Role.PLANNER, PLANNER, None, "SIGKILL"), "the planner was ended by SIGKILL"),
    ],
)
def test_a_planner_without_an_answer_refuses_the_reload(event: Event, problem: str) -> None:
    world = after(serving(), HUP) if isinstance(event, SpawnFailed) else reloading()
    world, effects = play(world, event)
    assert items(world) == [("settings-refused", f"the settings could not be read: {problem}")]
    assert match(Record, message=f"reload refused: the settings could not be read: {problem}") in effects
    assert world.reload.close_by is None


LISTEN = {"listen": (V6,), "targets": (replace(LOCAL6, listener=0),)}
OTHER_PAIR = Certificate("/d.pem", "bb", 0.0, 90 * 86400.0, ("a", "b"), self_signed=False)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({}, "nothing changed"),
        ({"live_key": "l1"}, "the running server applies the rest"),
        (
            {"server_key": "s1"},
            "the server restarts to apply settings that it reads only at its start; kernels keep running",
        ),
        ({"policy": Policy(cull=True)}, "the supervisor applies its own part"),
        ({"sampler": NOTHING}, "the supervisor applies its own part"),
        (
            {"live_key": "l1", "policy": Policy(cull=True)},
            "the running server applies the rest; the supervisor applies its own part",
        ),
        ({"warnings": (DISK,)}, "nothing changed"),
    ],
)
def test_a_reload_says_what_has_changed(changes: dict[str, object], what: str) -> None:
    new = replace(PLAN, **changes)  # type: ignore[arg-type]  # names of fields
    assert messages(reloading(), PlanMade(new))[0] == f"settings reloaded: {what}"
    assert after(reloading(), PlanMade(new)).plan == new


def test_other_addresses_are_named_first_and_bound() -> None:
    new = replace(PLAN, **LISTEN)  # type: ignore[arg-type]  # names of fields
    _, effects = play(reloading(), PlanMade(new))
    assert match(Record, message="settings reloaded: now listening on other addresses") in effects
    assert of(Bind, effects) == [Bind((V6,))]


def test_the_watchdog_is_the_units_and_not_the_settings() -> None:
    made = replace(PLAN, policy=replace(PLAN.policy, watchdog_s=15.0))
    world = after(reloading(made), PlanMade(PLAN))
    assert world.plan is not None and world.plan.policy.watchdog_s == 15.0


def test_of_addresses_that_changed_without_a_socket_only_the_new_ones_are_asked() -> None:
    new = replace(PLAN, targets=(LOCAL, PLAN.targets[1], replace(PLAN.targets[2], name="box.lan")))
    world, effects = play(reloading(), PlanMade(new))
    assert CancelProbes() in effects
    assert [each.target.name for each in of(Probe, effects)] == ["box.lan"]
    assert [each.good_since for each in world.probes] == [NOW, NOW, None]
    assert isinstance(world.server, Running) and isinstance(world.server.stage, Serving)


def test_a_live_setting_that_the_server_refuses_is_an_item_and_asked_again_at_each_reload() -> None:
    world, effects = play(reloading(), PlanMade(replace(PLAN, live_key="l1")), PLANNED)
    assert of(SendToServer, effects) == [SendToServer(Reload("l1"))]
    world, effects = play(world, said(SERVER, Reloaded("l1", "/c.pem: no key")), DeadlineCame())
    assert items(world) == [("live-refused", "/c.pem: no key")]
    assert of(SendToServer, effects) == []  # once
    world = after(world, HUP, ChildStarted(Role.PLANNER, PLANNER, 90))
    world, effects = play(world, PlanMade(replace(PLAN, live_key="l1")), PLANNED)
    assert of(SendToServer, effects) == [SendToServer(Reload("l1"))]
    assert items(world) == []
    world = after(world, said(SERVER, Reloaded("l1", None)))
    assert isinstance(world.server, Running) and world.server.started_with.live_key == "l1"


# --- plans: not asked for -----------------------------------------------------------------------------------------

DIFFERENT = replace(
    plan(Policy(cull=True)), server_key="s1", **LISTEN, urls=("https://x/",),
    base_url="/x/", server=Command(("/bin/false",), (), "/"), live_key="l1", certificate=OTHER_PAIR, warnings=(DISK,),
)  # fmt: skip
"""Somebody has edited the settings; the certificate was renewed; and a warning is new."""


def test_a_plan_that_nobody_asked_for_takes_over_only_what_the_machine_changed() -> None:
    world, effects = play(replanning(), PlanMade(DIFFERENT), PLANNED)
    assert world.plan == replace(PLAN, certificate=OTHER_PAIR, warnings=(DISK,), live_key="l1")
    assert of(Bind, effects) == []
    assert of(SendSignal, effects) == []
    assert of(SendToServer, effects) == [SendToServer(Reload("l1"))]
    assert [each.message for each in of(Record, effects) if each.kind is not journal_kinds.ITEM_RAISED] == [
        "serving a new certificate: /d.pem, valid until 1970-04-01, for a, b"
    ]


def test_while_nothing_serves_it_takes_over_everything() -> None:
    world = after(waiting(), DeadlineCame(), now=NOW + 5)
    world = after(world, ChildStarted(Role.PLANNER, PLANNER, 90), PlanMade(DIFFERENT), now=NOW + 5)
    assert world.plan == DIFFERENT


def test_a_refusal_that_nobody_asked_for_is_an_item_and_no_refused_reload() -> None:
    world, effects = play(replanning(), PlanMade(Refused((PROBLEM,))), PLANNED)
    assert items(world) == [("settings-refused", PROBLEM)]
    assert not [each for each in of(Record, effects) if each.kind is journal_kinds.RELOAD_REFUSED]
    assert world.reloads == 0


def test_a_machine_that_is_not_ready_is_looked_at_again_each_five_seconds() -> None:
    world, times = waiting(), []
    for second in range(1, 18):
        world, effects = play(world, DeadlineCame(), now=NOW + second)
        if of(Spawn, effects):
            times.append(second)
            again = PlanMade(replace(PLAN, waiting=(DISK,)))
            world = after(world, ChildStarted(Role.PLANNER, PLANNER, 90), again, PLANNED, now=NOW + second)
    assert times == [5, 10, 15]


def test_it_starts_as_soon_as_the_disk_is_there() -> None:
    world = after(waiting(), DeadlineCame(), now=NOW + 5)
    assert items(world) == [(DISK.code, DISK.text)]
    world, effects = play(world, ChildStarted(Role.PLANNER, PLANNER, 90), PlanMade(PLAN), PLANNED, now=NOW + 5)
    assert of(Spawn, effects) == [Spawn(Role.SERVER, NOTHING)]
    assert (items(world), world.replan_at) == ([], None)


@pytest.mark.parametrize(
    "events",
    [[SpawnFailed(Role.PLANNER, "no memory")], [ChildStarted(Role.PLANNER, PLANNER, 90), PlanMade("killed"), PLANNED]],
)
def test_a_planner_without_an_answer_does_not_end_the_waiting(events: list[Event]) -> None:
    world = after(waiting(), DeadlineCame(), now=NOW + 5)
    world, effects = play(after(world, *events, now=NOW + 5), DeadlineCame(), now=NOW + 10)
    assert of(Spawn, effects) == [Spawn(Role.PLANNER, NOTHING)]


def test_a_stuck_planner_does_not_end_the_waiting_once_it_is_gone() -> None:
    world = after(waiting(), DeadlineCame(), now=NOW + 5)
    world = after(world, ChildStarted(Role.PLANNER, PLANNER, 90), now=NOW + 5)
    world = after(after(world, DeadlineCame(), now=NOW + 65), DeadlineCame(), now=NOW + 70)
    world, effects = play(world, DeadlineCame(), now=NOW + 300)
    assert of(Spawn, effects) == []  # never a second one beside it
    _, effects = play(world, PLANNED, now=NOW + 301)
    assert of(Spawn, effects) == [Spawn(Role.PLANNER, NOTHING)]


def test_warnings_are_items_with_their_own_codes() -> None:
    odd = Trouble("password-weak", "the password is short", "jupyterd password")
    world = after(reloading(), PlanMade(replace(PLAN, warnings=(odd,))))
    (item,) = report.snapshot(world).items
    assert (item.code, item.severity, item.text, item.advice) == (
        "password-weak", "warning", "the password is short", "jupyterd password",
    )  # fmt: skip


# --- sockets and probes -------------------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_tried_again_each_two_seconds() -> None:
    world, effects = play(port_taken(), DeadlineCame(), now=NOW + 1.9)
    assert of(Bind, effects) == []
    world, effects = play(world, DeadlineCame(), now=NOW + 2)
    assert of(Bind, effects) == [Bind((V4, V6))]
    world, effects = play(world, Bound(()), now=NOW + 2)
    assert of(Spawn, effects) == [Spawn(Role.SERVER, NOTHING)]


@pytest.mark.parametrize(
    ("failed", "code", "text", "advice"),
    [
        (BindFailed(V4, "busy", "thief (pid 5)"), "listen-busy", "0.0.0.0:8888 is in use by thief (pid 5)",
            "sudo ss -ltnp 'sport = :8888'"),
        (BindFailed(V6, "busy", ""), "listen-busy", "[::]:8888 is in use", "sudo ss -ltnp 'sport = :8888'"),
        (BindFailed(V6, "absent", "x"), "listen-absent", "no interface has the address ::", "ip address show"),
        (BindFailed(V4, "denied", "x"), "listen-denied", "this account may not listen on 0.0.0.0:8888",
            "choose a port of 1024 or more, or let the service have this one: sudo jupyterd setup --yes"),
        (BindFailed(V4, "other", "too many open files"), "listen-other",
            "cannot listen on 0.0.0.0:8888: too many open files", "sudo ss -ltnp 'sport = :8888'"),
    ],
)  # fmt: skip
def test_why_a_socket_is_not_open(failed: BindFailed, code: str, text: str, advice: str) -> None:
    world = after(after(begun(), Bound((failed,))), DeadlineCame(), now=NOW + 1)
    (item,) = report.snapshot(world).items
    assert (item.code, item.severity, item.text, item.advice) == (code, "error", text, advice)


def test_the_clock_comes_with_each_answer() -> None:
    world = after(serving(), ProbeEnded(LOCAL, None, "aa", WallClock(5.0, 3600)))
    assert world.clock == WallClock(5.0, 3600)


def test_another_certificate_than_the_one_on_disk_has_the_machine_looked_at() -> None:
    world = after(serving(), DeadlineCame(), now=NOW + 4)
    world = after(world, ProbeEnded(LOCAL, "serves another certificate", "bb", CLOCK), now=NOW + 4)
    assert world.replan_at == NOW + 9
    world, effects = play(world, DeadlineCame(), now=NOW + 9)
    assert Spawn(Role.PLANNER, NOTHING) in effects


# --- what SIGKILL does not end ------------------------------------------------------------------------------------


def wedged_planner() -> World:
    """A planner that hung, was killed, and is still there."""
    world = after(reloading(), DeadlineCame(), now=NOW + 60)
    assert isinstance(world.planner, Killing)
    return after(world, DeadlineCame(), now=NOW + 65)


def test_a_child_that_sigkill_does_not_end_is_abandoned_and_named() -> None:
    world = after(reloading(), DeadlineCame(), now=NOW + 60)
    world, effects = play(world, DeadlineCame(), now=NOW + 65)
    text = "the planner process 9 does not end even after SIGKILL"
    assert of(Abandon, effects) == [Abandon(Role.PLANNER, PLANNER)]
    assert match(Record, kind=journal_kinds.WEDGED, message=f"{text}; going on without it") in effects
    assert ("wedged", text) in items(world)


def test_beside_a_wedged_planner_a_reload_is_refused() -> None:
    world, effects = play(wedged_planner(), HUP, now=NOW + 70)
    text = "an earlier planner is stuck in the kernel (jupyterd status names it)"
    assert of(Spawn, effects) == []
    assert match(Record, kind=journal_kinds.RELOAD_REFUSED, message=f"reload refused: {text}") in effects
    assert ("settings-refused", text) in items(world)


def test_when_it_ends_after_all_it_is_forgotten_and_the_machine_is_looked_at() -> None:
    world, effects = play(wedged_planner(), PLANNED, now=NOW + 100)
    assert world.wedged == ()
    assert "wedged" not in dict(items(world))
    assert of(Spawn, effects) == [Spawn(Role.PLANNER, NOTHING)]


def test_a_wedged_server_is_replaced_and_counted_all_the_same() -> None:
    world = after(starting(), DeadlineCame(), now=NOW + 120)
    world = after(world, DeadlineCame(), now=NOW + 120.5)
    world, effects = play(world, DeadlineCame(), now=NOW + 125.5)
    assert Abandon(Role.SERVER, SERVER) in effects
    assert Spawn(Role.SERVER, NOTHING) in effects
    assert world.restarts == 1
    assert world.recent == (Restart(NOW + 125.5, "did not report that it is ready within 120 s"),)


def test_a_wedged_ender_does_not_keep_it_from_stopping() -> None:
    world = after(stopping(), CRASH, ChildStarted(Role.ENDER, ENDER, 110))
    patience = PLAN.policy.kernels_grace_s + 15.0
    world, effects = play(world, DeadlineCame(), now=NOW + patience - 0.1)
    assert of(SendSignal, effects) == []
    world = after(world, DeadlineCame(), now=NOW + patience)
    assert isinstance(world.ender, Killing)
    world, effects = play(world, DeadlineCame(), now=NOW + patience + 5)
    assert of(Quit, effects) == [Quit(0)]


# --- the sampler --------------------------------------------------------------------------------------------------

GPU = Gpu(0, "GPU-0", "RTX 4090", 50.0, 90.0, 1, 2, 60, 300.0, None)


def sampling() -> World:
    return after(serving(plan()), ChildStarted(Role.SAMPLER_RELAY, SAMPLER, 100))


def test_each_frame_gives_the_sampler_its_time_again() -> None:
    world = after(sampling(), FrameCame(Frame((GPU,), None, None)), now=NOW + 20)
    world, effects = play(world, DeadlineCame(), now=NOW + 44.9)
    assert of(SendSignal, effects) == []
    world, effects = play(world, DeadlineCame(), now=NOW + 45)
    assert of(SendSignal, effects) == [SendSignal(Role.SAMPLER_RELAY, SAMPLER, "KILL")]


def test_the_gpus_shown_are_those_of_the_first_frame_until_a_line_is_due() -> None:
    frame = Frame((GPU,), None, None)
    world = after(sampling(), FrameCame(frame))
    assert report.snapshot(world).gpus == (GPU,)
    world = after(world, FrameCame(replace(frame, gpus=(replace(GPU, index=1),))), FrameCame(Frame((), None, None)))
    assert report.snapshot(world).gpus == (GPU,)
    world, effects = play(world, DeadlineCame(), now=NOW + Policy().gpu_log_every_s)
    (line,) = [each for each in of(Record, effects) if each.kind is journal_kinds.GPU]
    assert "RTX 4090" in line.message


def test_a_line_that_is_no_frame_is_an_item_until_the_next_frame() -> None:
    world = after(sampling(), FrameCame(None))
    assert items(world) == [("gpu-sampler", "the GPU sampler sent something that is not a frame")]
    assert items(after(world, FrameCame(Frame((GPU,), None, None)))) == []


def test_a_sampler_that_ends_is_an_item_and_started_again() -> None:
    world = after(sampling(), FrameCame(Frame((GPU,), None, None)))
    world = after(world, ChildExited(Role.SAMPLER_RELAY, SAMPLER, 1, None), now=NOW + 1)
    assert items(world) == [("gpu-sampler", "the GPU sampler ended by itself with exit code 1")]
    assert report.snapshot(world).gpus == ()
    world, effects = play(world, DeadlineCame(), now=NOW + 21)
    assert Spawn(Role.SAMPLER_RELAY, NOTHING) in effects


def test_a_sampler_that_the_settings_switch_off_is_no_trouble() -> None:
    world = after(sampling(), FrameCame(Frame((GPU,), None, None)), HUP, ChildStarted(Role.PLANNER, PLANNER, 90))
    world, effects = play(world, PlanMade(SPARED))
    assert of(SendSignal, effects) == [SendSignal(Role.SAMPLER_RELAY, SAMPLER, "TERM")]
    world = after(world, ChildExited(Role.SAMPLER_RELAY, SAMPLER, None, "SIGTERM"))
    assert (items(world), report.snapshot(world).gpus, world.sampler_relay) == ([], (), Stopped())


def test_the_relay_while_it_waits_does_not_hide_the_last_frame() -> None:
    world = after(sampling(), FrameCame(Frame((GPU,), None, None, pid=40, started=400)))
    assert report.snapshot(world).sampler == ProcessIdentity(40, 400)
    world = after(world, FrameCame(Frame((), None, None)))
    assert report.snapshot(world).sampler == ProcessIdentity(40, 400)
    world = after(world, FrameCame(Frame((), "the sampler could not be started", "x")))
    assert report.snapshot(world).sampler == ProcessIdentity(SAMPLER, 100)
