"""What systemd and people are told: STATUS=, READY=1, RELOADING=1, time asked for, addresses, the snapshot."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.worlds import (
    CLOCK,
    DISK,
    ENDER,
    LAN,
    LOCAL,
    LOCAL6,
    NOW,
    PLAN,
    PLANNER,
    SERVER,
    SPARE,
    V4,
    after,
    bad,
    begun,
    good,
    match,
    of,
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

from jupyterd.core import conditions, journal_kinds, report, step
from jupyterd.core.backoff import Score
from jupyterd.core.effects import Effect, Notify, Publish, Record, ShowBanner
from jupyterd.core.events import (
    BindFailed,
    Bound,
    ChildExited,
    ChildStarted,
    DeadlineCame,
    Event,
    PlanMade,
    ProbeEnded,
    Role,
    ServerSaid,
    Signal,
    SignalReceived,
    Started,
)
from jupyterd.core.world import Wedged, World
from jupyterd.protocol.plan import Refused
from jupyterd.protocol.server_channel import Advised, Failed, KernelCounts, Ready, Reloaded
from jupyterd.protocol.status import Address, ProcessIdentity, Restart, Snapshot

CRASH = ChildExited(Role.SERVER, SERVER, 1, None)
ENDED = ChildExited(Role.ENDER, ENDER, 0, None)
HUP, TERM = SignalReceived(Signal.HUP), SignalReceived(Signal.TERM)
SERVES = "Serving https://gpu.lan:8888/ since Fri 2027-01-15 08:00"
THIEF = "thief (pid 5)"
BAD_SETTINGS = "jupyterd.toml:3: port: 99999 is not in 1..65535"


def kernels(total: int, busy: int) -> ServerSaid:
    return ServerSaid(SERVER, KernelCounts(total, busy))


def refused(*problems: str) -> World:
    return after(reloading(), PlanMade(Refused(problems)), ChildExited(Role.PLANNER, PLANNER, 0, None))


def resting() -> World:
    """The server crashes too often, and the next start is in two seconds."""
    return after(replace(serving(), score=Score(3.0, NOW)), CRASH)


def muted() -> World:
    """One address has been failing for ten seconds; the others answer."""
    world = after(serving(), DeadlineCame(), now=NOW + 60)
    world = after(world, good(LOCAL), good(LOCAL6), now=NOW + 60)
    world = after(world, DeadlineCame(), now=NOW + 64)
    world = after(world, good(LOCAL), bad(LAN), now=NOW + 71)
    return after(after(world, DeadlineCame(), now=NOW + 72), bad(LAN), good(LOCAL), now=NOW + 81)


STATUS = [
    (begun(), "Starting the server"),
    (starting(), "Starting the server (pid 7)"),
    (verifying(), "Starting the server (pid 7)"),
    (serving(), SERVES),
    (after(serving(), kernels(0, 0)), f"{SERVES}; 0 kernels"),
    (after(serving(), kernels(1, 0)), f"{SERVES}; 1 kernel"),
    (after(serving(), kernels(3, 0)), f"{SERVES}; 3 kernels"),
    (after(serving(), kernels(3, 2)), f"{SERVES}; 3 kernels, 2 busy"),
    (after(serving(), kernels(3, 2), CRASH), "Starting the server"),  # whose kernels they are is not known
    (resting(), "The server ended by itself with exit code 1; next start at 08:00"),
    (
        after(resting(), DeadlineCame(), now=NOW + 1.99),
        "The server ended by itself with exit code 1; next start at 08:00",
    ),
    (refused(BAD_SETTINGS), f"{SERVES}; problem: {BAD_SETTINGS}"),
    (
        after(refused(BAD_SETTINGS, "b", "c"), kernels(2, 1)),
        f"{SERVES}; 2 kernels, 1 busy; problem: {BAD_SETTINGS} (and 2 more)",
    ),
    (muted(), f"{SERVES}; problem: gpu.lan, port 8888: no answer for 11 s"),
    (
        after(replace(muted(), live_problem="no such key"), DeadlineCame(), now=NOW + 81),
        f"{SERVES}; problem: gpu.lan, port 8888: no answer for 11 s (and 1 more: jupyterd status)",
    ),
    (
        after(starting(), ServerSaid(SERVER, Failed("the port is in use"))),
        "Starting the server (pid 7); problem: the port is in use",
    ),
    (
        after(after(serving(), CRASH, ChildStarted(Role.SERVER, 17, 170)), DeadlineCame(), now=NOW + 5),
        "Starting the server (pid 17); problem: the server has started but does not serve yet",
    ),
    (waiting(), "Waiting: /data is not there; checked again every 5 s"),
    (
        port_taken(),
        f"Waiting: 0.0.0.0:8888 is in use by {THIEF}; [::]:8888 is in use by {THIEF}; checked again every 2 s",
    ),
    (stopping(), "Stopping: waiting for the server to finish"),
    (after(stopping(), CRASH), "Stopping"),
]  # fmt: skip


@pytest.mark.parametrize(("world", "text"), STATUS)
def test_status(world: World, text: str) -> None:
    assert report.status_text(world) == text
    assert world.announced.snapshot is not None and world.announced.snapshot.status == text


def test_status_says_that_kernels_are_being_ended() -> None:
    _, effects = play(after(stopping(), CRASH), ChildStarted(Role.ENDER, ENDER, 110))
    assert of(Notify, effects) == [Notify(status="Stopping: shutting down the kernels")]


def test_status_is_sent_when_it_changes_and_then_only() -> None:
    world, effects = play(serving(), kernels(3, 0))
    assert of(Notify, effects) == [Notify(status=f"{SERVES}; 3 kernels")]
    _, effects = play(world, kernels(3, 0), DeadlineCame())
    assert of(Notify, effects) == []


# --- READY=1, RELOADING=1, STOPPING=1 -----------------------------------------------------------------------------


def marks(effects: tuple[Effect, ...]) -> str:
    """All that systemd is told but texts: "ready", "reloading", "stopping", "extend 90"."""
    said = []
    for each in of(Notify, effects):
        said += [name for name in ("ready", "reloading", "stopping") if getattr(each, name)]
        said += [f"extend {each.extend_timeout_s:.0f}"] if each.extend_timeout_s is not None else []
    return " ".join(said)


NEW_KEY = PlanMade(replace(PLAN, live_key="l1"))
TAKEN_OVER = ServerSaid(SERVER, Reloaded("l1", None))
PLANNED = ChildExited(Role.PLANNER, PLANNER, 0, None)


@pytest.mark.parametrize(
    ("world", "events", "said"),
    [
        (verifying(), [good(LOCAL)], ""),
        (verifying(), [good(LOCAL), good(LAN)], ""),
        (verifying(), [good(LOCAL), bad(LOCAL6)], ""),
        (verifying(), [good(LOCAL), good(LOCAL6)], "ready"),  # one of each socket: the third is not needed
        (verifying(), [good(LOCAL), good(LOCAL6), good(LAN)], "ready"),
        (serving(), [CRASH], ""),
        (serving(), [HUP], "reloading"),
        (serving(), [HUP, HUP], "reloading"),
        (reloading(), [PlanMade(PLAN)], "ready"),
        (reloading(), [PlanMade(Refused(("x",)))], "ready"),
        (reloading(), [PlanMade("it died")], "ready"),
        (reloading(), [NEW_KEY], ""),
        (reloading(), [NEW_KEY, TAKEN_OVER], "ready"),
        (reloading(), [NEW_KEY, ServerSaid(SERVER, Reloaded("l1", "no such key"))], "ready"),
        (reloading(), [PlanMade(PLAN), PLANNED, HUP], "ready reloading"),
        (starting(), [HUP], ""),  # READY=1 was never said, so nothing can be reloading
        (serving(), [TERM], "stopping"),
        (starting(), [TERM], "stopping"),
        (serving(), [TERM, TERM], "stopping"),
        (reloading(), [TERM, CRASH], "stopping"),
    ],
)
def test_what_systemd_is_told(world: World, events: list[Event], said: str) -> None:
    assert marks(play(world, *events)[1]) == said


def test_ready_is_said_again_at_the_latest_when_the_reload_must_be_over() -> None:
    world = after(reloading(), NEW_KEY)  # the server never answers
    late = NOW + PLAN.policy.planner_timeout_s + PLAN.policy.start_timeout_s + 15.0
    assert marks(play(world, DeadlineCame(), now=late - 1.0)[1]) == ""
    assert marks(play(world, DeadlineCame(), now=late)[1]) == "ready"


# --- EXTEND_TIMEOUT_USEC ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("world", "said"),
    [
        (waiting(), {20: "extend 90", 40: "extend 90", 60: "extend 90"}),
        (port_taken(), {20: "extend 90", 40: "extend 90", 60: "extend 90"}),
        (starting(), {20: "extend 90", 40: "extend 90", 60: "extend 90"}),
        (resting(), {20: "", 40: "", 60: ""}),  # READY=1 was said before: there is no start to extend
        (serving(), {20: "", 40: "", 60: ""}),
        (stopping(), {20: "", 40: "", 60: ""}),
    ],
)
def test_systemd_is_asked_for_more_time_until_ready(world: World, said: dict[int, str]) -> None:
    heard = {}
    for second in range(1, 61):
        world, effects = play(world, DeadlineCame(), now=NOW + second)
        if second in said or marks(effects).startswith("extend"):
            heard[second] = marks(effects)
    assert heard == said


def test_time_is_asked_for_at_once_because_a_drop_in_may_give_little() -> None:
    assert marks(play(step.start(), Started(PLAN, CLOCK, ProcessIdentity(1, 10)))[1]) == "extend 90"
    ready = [good(LOCAL), good(LOCAL6)]
    assert marks(play(verifying(), *ready)[1]) == "ready"


def test_time_is_asked_for_often_enough_and_by_its_own_deadline() -> None:
    assert report.EXTEND_EVERY_S < report.EXTEND_BY_S / 2
    made = replace(PLAN, policy=replace(PLAN.policy, start_timeout_s=1e6))
    assert step.deadline(after(starting(made), DeadlineCame(), now=NOW + 10)) == NOW + 20


# --- the banner ---------------------------------------------------------------------------------------------------


def test_the_banner_is_shown_once_as_soon_as_every_address_has_answered_or_failed() -> None:
    world, effects = play(verifying(), good(LOCAL), good(LOCAL6))
    assert (world.state, of(ShowBanner, effects)) == ("serving", [])
    world, effects = play(world, bad(LAN))
    assert of(ShowBanner, effects) == [ShowBanner(("https://gpu.lan:8888/",))]
    world, effects = play(world, CRASH, ChildStarted(Role.SERVER, 17, 170), ServerSaid(17, Ready()))
    world, more = play(world, good(LOCAL), good(LOCAL6), good(LAN))
    assert world.state == "serving"
    assert of(ShowBanner, effects + more) == []


# --- health items in the journal ----------------------------------------------------------------------------------


def test_a_problem_is_recorded_when_it_begins_and_when_it_is_over() -> None:
    world, effects = play(reloading(), PlanMade(Refused((BAD_SETTINGS,))), PLANNED)
    assert match(Record, kind=journal_kinds.ITEM_RAISED, fields=(
        ("HEALTH_CODE", "settings-refused"), ("HEALTH_ADVICE", "jupyterd config check"),
    ), message=f"{BAD_SETTINGS}  (type: jupyterd config check)") in effects  # fmt: skip
    world = after(world, HUP, ChildStarted(Role.PLANNER, PLANNER, 90), now=NOW + 30)
    _, effects = play(world, PlanMade(PLAN), now=NOW + 42)
    assert match(Record, kind=journal_kinds.ITEM_CLEARED, fields=(("HEALTH_CODE", "settings-refused"),),
        message=f"resolved after 42 s: {BAD_SETTINGS}") in effects  # fmt: skip


# --- the snapshot -------------------------------------------------------------------------------------------------


def shot(world: World) -> Snapshot:
    return report.snapshot(world)


def test_the_snapshot_is_published_when_it_changes_and_then_only() -> None:
    world, effects = play(serving(), kernels(3, 0))
    assert of(Publish, effects) == [Publish(shot(world))]
    assert (shot(world).kernels, shot(world).kernels_busy) == (3, 0)
    assert (shot(world).account, shot(world).mode) == ("alice", "service")
    assert of(Publish, play(world, kernels(3, 0), DeadlineCame())[1]) == []


@pytest.mark.parametrize(
    ("world", "state"),
    [
        (begun(), "starting"),
        (verifying(), "starting"),
        (serving(), "serving"),
        (waiting(), "waiting"),
        (port_taken(), "waiting"),
        (resting(), "restarting"),
        (after(serving(), CRASH), "restarting"),
        (stopping(), "stopping"),
        (after(stopping(), CRASH, ChildStarted(Role.ENDER, ENDER, 110), ENDED), "stopped"),
    ],
)  # fmt: skip
def test_the_state_has_one_word(world: World, state: str) -> None:
    assert shot(world).state == state


def test_one_socket_of_two_is_enough_to_serve_and_the_other_is_an_item() -> None:
    taken = BindFailed(V4, "busy", "thief (pid 5)")
    world = after(begun(), Bound((taken,)), ChildStarted(Role.SERVER, SERVER, 70), ServerSaid(SERVER, Ready()))
    world = after(world, good(LOCAL6), now=NOW + 1)
    assert shot(world).state == "serving"
    assert [each.name for each in shot(world).addresses] == ["::1"]
    assert [(each.code, each.severity, each.text) for each in shot(world).items] == [
        ("listen-busy", "error", "0.0.0.0:8888 is in use by thief (pid 5)")
    ]
    assert report.status_text(world).endswith("; problem: 0.0.0.0:8888 is in use by thief (pid 5)")


def test_the_processes_are_named() -> None:
    world = with_spare()
    assert shot(world).supervisor == ProcessIdentity(1, 10)
    assert (shot(world).server, shot(world).spare) == (ProcessIdentity(7, 70), ProcessIdentity(SPARE, 80))
    assert (shot(begun()).server, shot(begun()).spare, shot(begun()).sampler) == (None, None, None)


def test_the_cause_of_each_restart_is_kept() -> None:
    world = after(resting(), DeadlineCame(), ChildStarted(Role.SERVER, 17, 170), now=NOW + 2)
    world = after(world, ChildExited(Role.SERVER, 17, None, "SIGKILL"), now=NOW + 3)
    assert shot(world).restarts == 2
    assert shot(world).recent == (
        Restart(NOW, "ended by itself with exit code 1"),
        Restart(NOW + 3, "was ended by SIGKILL"),
    )


def test_the_last_ten_restarts_are_kept() -> None:
    world = replace(serving(), restarts=12, recent=tuple(Restart(float(at), "x") for at in range(10)))
    world = after(world, CRASH)
    assert shot(world).restarts == 13
    assert [each.at for each in shot(world).recent] == [*range(1, 10), NOW]


# --- addresses ----------------------------------------------------------------------------------------------------


def addresses(world: World) -> list[tuple[str, bool, float, str]]:
    return [(each.name, each.ok, each.since, each.detail) for each in shot(world).addresses]


def test_an_address_answers_only_once_it_has() -> None:
    assert addresses(starting()) == []
    assert addresses(verifying()) == [(name, False, NOW, "") for name in ("localhost", "::1", "gpu.lan")]
    assert addresses(after(verifying(), good(LOCAL6), now=NOW + 1)) == [
        ("localhost", False, NOW, ""),
        ("::1", True, NOW + 1, ""),
        ("gpu.lan", False, NOW, ""),
    ]


def test_an_address_that_does_not_answer_says_since_when_and_why() -> None:
    assert addresses(muted()) == [
        ("localhost", True, NOW, ""),
        ("::1", True, NOW, ""),
        ("gpu.lan", False, NOW + 60, "no answer for 11 s"),
    ]
    still = after(after(muted(), DeadlineCame(), now=NOW + 82), bad(LAN, "connection refused"), now=NOW + 83)
    assert addresses(still)[2] == ("gpu.lan", False, NOW + 60, "connection refused")
    back = after(after(muted(), DeadlineCame(), now=NOW + 82), good(LAN), now=NOW + 83)
    assert addresses(back)[2] == ("gpu.lan", True, NOW + 83, "")


def test_another_certificate_is_no_good_answer() -> None:
    world = after(serving(), DeadlineCame(), now=NOW + 4)
    world = after(world, ProbeEnded(LOCAL, "serves another certificate", "bb", CLOCK), now=NOW + 4)
    assert addresses(world)[0] == ("localhost", False, NOW + 4, "serves another certificate")


@pytest.mark.parametrize("world", [after(serving(), CRASH), stopping(), waiting(), resting()])
def test_without_a_server_no_address_is_shown(world: World) -> None:
    assert shot(world).addresses == ()


def test_urls_are_written_as_a_browser_takes_them() -> None:
    v6 = Address("::1", "https://[::1]:8888/", ok=True, since=NOW, detail="")
    assert shot(serving()).addresses[1] == v6
    plain = replace(PLAN, certificate=None, base_url="/lab/")
    world = after(verifying(plain), *[ProbeEnded(each, None, None, CLOCK) for each in (LOCAL, LOCAL6)])
    assert [each.url for each in shot(world).addresses] == [
        "http://localhost:8888/lab/",
        "http://[::1]:8888/lab/",
        "http://gpu.lan:8888/lab/",
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda world: world, True),
        (lambda world: replace(world, announced=replace(world.announced, ready=False)), False),
        (
            lambda world: replace(
                world,
                sockets=replace(world.sockets, failed=tuple(BindFailed(each, "busy", "") for each in PLAN.listen)),
            ),
            False,
        ),
        (lambda world: replace(world, plan=replace(PLAN, waiting=(DISK,))), False),
        (lambda world: replace(world, down_since=None), False),
    ],
    ids=["it was ready once", "never ready", "no socket", "a disk is awaited", "not down"],
)
def test_a_server_is_down_only_if_nothing_else_keeps_it_away(change, told) -> None:
    world = after(serving(), CRASH)
    codes = [each.kind.code for each in conditions.current(change(world), NOW)]
    assert ("server-down" in codes) is told


# --- hidden and shown ---------------------------------------------------------------------------------------------


def test_a_mute_address_is_not_told_beside_a_server_that_is_down() -> None:
    world = after(serving(), CRASH, ChildStarted(Role.SERVER, 17, 170), ServerSaid(17, Ready()))
    world = after(world, bad(LOCAL), bad(LOCAL6), bad(LAN), now=NOW + 11)
    world = after(world, DeadlineCame(), now=NOW + 30)
    assert {each.condition.kind.code for each in world.conditions} == {"server-down", "address-unreachable"}
    assert [each.code for each in shot(world).items] == ["server-down"]


@pytest.mark.parametrize(
    ("role", "codes"),
    [
        (Role.SAMPLER_RELAY, ["wedged"]),
        (Role.PLANNER, ["wedged", "gpu-sampler"]),
        (Role.SPARE, ["wedged", "gpu-sampler"]),
        (Role.SERVER, ["wedged", "gpu-sampler"]),
        (Role.CULLER, ["wedged", "gpu-sampler"]),
    ],
)
def test_only_a_wedged_sampler_relay_explains_that_there_are_no_frames(role: Role, codes: list[str]) -> None:
    world = serving()
    stuck = Wedged(role, ProcessIdentity(99, 990), NOW)
    world = replace(world, wedged=(stuck,), gpus=replace(world.gpus, problem="did not respond in time"))
    world = after(world, DeadlineCame())
    assert [each.code for each in shot(world).items] == codes


def test_a_server_that_is_down_is_not_told_beside_a_machine_that_is_not_ready() -> None:
    world = after(waiting(), DeadlineCame(), now=NOW + 30)
    assert [(each.code, each.text) for each in shot(world).items] == [(DISK.code, DISK.text)]


def test_a_wedged_process_is_named_even_while_stopping() -> None:
    stuck = Wedged(Role.SPARE, ProcessIdentity(SPARE, 80), NOW)
    world = after(replace(stopping(), wedged=(stuck,)), DeadlineCame())
    assert report.status_text(world) == (
        "Stopping: waiting for the server to finish; problem: the spare process 8 does not end even after SIGKILL"
    )


# --- the watchdog -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "world", [begun(), waiting(), starting(), verifying(), serving(), resting(), reloading(), stopping()]
)
def test_the_watchdog_is_told_only_while_no_deadline_is_overdue(world: World) -> None:
    due = step.deadline(world)
    if due is None:
        assert step.healthy(world, NOW + 1e9)
        return
    assert step.healthy(world, due) and step.healthy(world, due + 4.9)
    assert not step.healthy(world, due + 5.1)
    assert not step.healthy(world, due + 1e6)


def test_what_the_server_says_about_its_extensions_stays_told_until_another_server_says_otherwise() -> None:
    item = ("replaced-session-manager", "the extension x replaces it", "pip uninstall x")
    world = after(serving(), ServerSaid(SERVER, Advised((item, ("odd",)))))  # type: ignore[arg-type]
    assert [(each.code, each.text, each.advice) for each in shot(world).items] == [item]
    crashed, effects = play(world, CRASH)
    assert not [each for each in effects if isinstance(each, Record) and each.kind == journal_kinds.ITEM_CLEARED]
    assert [each.code for each in shot(crashed).items] == [item[0]]
    assert shot(after(world, ServerSaid(SERVER, Advised(())))).items == ()
