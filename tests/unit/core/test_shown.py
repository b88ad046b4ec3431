"""Only URLs that are proved to be ours on every address to which they lead are shown: STATUS, snapshot, banner."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.worlds import (
    CLOCK,
    LAN,
    LOCAL,
    LOCAL6,
    NOW,
    PLAN,
    PLANNER,
    SERVER,
    V4,
    V6,
    after,
    bad,
    begun,
    good,
    match,
    of,
    play,
    serving,
)

from jupyterd.core import journal_kinds, shown
from jupyterd.core.effects import Bind, Publish, Record, ShowBanner, Spawn
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
)
from jupyterd.core.report import snapshot
from jupyterd.core.world import World
from jupyterd.protocol.plan import Target
from jupyterd.protocol.server_channel import Ready

NAME, HOST, HERE4, HERE6 = (f"https://{each}:8888/" for each in ("gpu.lan", "localhost", "127.0.0.1", "[::1]"))
MADE = replace(PLAN, urls=(NAME, HOST, HERE4, HERE6), proofs=((2,), (0, 1), (0,), (1,)), present=("192.168.1.7",))
ALL = (LOCAL, LOCAL6, LAN)
THIEF = BindFailed(V4, "busy", "a process of user bob")
WRONG = ProbeEnded(LOCAL, "serves a different certificate", "bb", CLOCK)


def asked(*failed: BindFailed) -> World:
    """The server has said Ready, and some sockets could not be opened."""
    return after(begun(MADE), Bound(failed), ChildStarted(Role.SERVER, SERVER, 70), ServerSaid(SERVER, Ready()))


@pytest.mark.parametrize(
    ("failed", "answers", "urls"),
    [
        ((), (), ()),
        ((), (good(LOCAL),), (HERE4,)),
        ((), (good(LOCAL), good(LOCAL6)), (HOST,)),
        ((), (good(LOCAL), good(LOCAL6), good(LAN)), (NAME, HOST)),
        ((), (good(LOCAL), good(LOCAL6), bad(LAN)), (HOST,)),
        ((), (WRONG, good(LOCAL6), good(LAN)), (NAME, HERE6)),
        # Somebody else has 127.0.0.1: localhost and gpu.lan lead there too.
        ((THIEF,), (good(LOCAL6),), (HERE6,)),
        ((THIEF,), (good(LOCAL6), good(LOCAL), good(LAN)), (HERE6,)),
        ((BindFailed(V6, "busy", ""),), (good(LOCAL), good(LAN)), (NAME, HERE4)),
    ],
)
def test_what_is_shown_after_which_answers(
    failed: tuple[BindFailed, ...], answers: tuple[Event, ...], urls: tuple[str, ...]
) -> None:
    world, effects = play(asked(*failed), *answers)
    assert shown.urls(world) == urls
    assert snapshot(world).urls == urls
    if world.state == "serving" and urls:
        assert world.announced.status.startswith(f"Serving {urls[0]} ")
    for each in of(ShowBanner, effects):
        assert each.urls == urls


def test_an_address_of_a_name_that_leads_elsewhere_too_is_no_row_of_the_status() -> None:
    both = replace(MADE, targets=(replace(LOCAL, name="127.0.0.1"), LOCAL6, LAN), proofs=((2, 1), *MADE.proofs[1:]))
    world = after(
        begun(both), Bound((BindFailed(V6, "busy", ""),)), ChildStarted(Role.SERVER, SERVER, 70),
        ServerSaid(SERVER, Ready()), good(both.targets[0]), good(LAN),
    )  # fmt: skip
    assert [each.name for each in snapshot(world).addresses] == ["127.0.0.1"]


def test_a_proof_outlives_the_server_and_ends_with_the_socket() -> None:
    crashed = after(serving(MADE), ChildExited(Role.SERVER, SERVER, 1, None))
    assert (crashed.state, shown.urls(crashed)) == ("restarting", (NAME, HOST))
    only6 = replace(MADE, listen=(V6,), targets=(replace(LOCAL6, listener=0),), urls=(HERE6,), proofs=((0,),))
    assert shown.urls(after(crashed, PlanMade(only6))) == ()


def test_a_silent_address_is_not_shown_until_it_answers_again() -> None:
    world = after(serving(MADE), DeadlineCame(), now=NOW + 70)
    world = after(world, bad(LAN), now=NOW + 80)
    assert shown.urls(world) == (HOST,)
    world = after(world, DeadlineCame(), good(LAN), now=NOW + 82)
    assert shown.urls(world) == (NAME, HOST)


# --- addresses that come and go -----------------------------------------------------------------------------------

BEFORE, SINCE = ("192.168.1.7",), ("10.0.0.5", "192.168.1.7")
NEW = Target("10.0.0.5", "10.0.0.5", 8888, 0, needed=False)
WITH_NEW = replace(
    MADE, targets=(*ALL, NEW), urls=(*MADE.urls, "https://10.0.0.5:8888/"), proofs=(*MADE.proofs, (3,)), present=SINCE
)


def noticed(present: tuple[str, ...], world: World | None = None) -> World:
    """The next routine probe has seen these addresses."""
    world = after(serving(MADE) if world is None else world, DeadlineCame(), now=NOW + 4)
    return after(world, replace(good(LOCAL), present=present), now=NOW + 4)


@pytest.mark.parametrize(("present", "asks"), [((), False), (BEFORE, False), (SINCE, True), (("10.0.0.5",), True)])
def test_another_plan_is_made_when_the_addresses_changed(present: tuple[str, ...], asks: bool) -> None:  # noqa: FBT001
    world = noticed(present)
    assert world.replan_at == (NOW + 5 if asks else None)
    _, effects = play(world, DeadlineCame(), now=NOW + 5)
    assert (Role.PLANNER in [each.role for each in of(Spawn, effects)]) is asks


@pytest.mark.parametrize(("due", "then"), [(NOW + 4.5, NOW + 4.5), (NOW + 90, NOW + 5)])
def test_a_plan_that_is_due_sooner_is_not_put_off(due: float, then: float) -> None:
    assert noticed(SINCE, replace(serving(MADE), replan_at=due)).replan_at == then


def test_it_is_asked_for_once_even_if_the_settings_on_disk_are_refused() -> None:
    world = after(noticed(SINCE), DeadlineCame(), ChildStarted(Role.PLANNER, PLANNER, 90), now=NOW + 5)
    world = after(world, PlanMade("crashed"), ChildExited(Role.PLANNER, PLANNER, 0, None), now=NOW + 6)
    world = after(world, DeadlineCame(), replace(good(LOCAL), present=SINCE), now=NOW + 8)
    assert world.replan_at is None


def test_a_new_address_is_probed_and_then_shown_and_nobody_is_disturbed() -> None:
    world, effects = play(noticed(SINCE), PlanMade(WITH_NEW), now=NOW + 6)
    assert match(Record, kind=journal_kinds.NETWORK, message="this machine's addresses: 10.0.0.5 is new") in effects
    assert of(Bind, effects) == []
    assert shown.urls(world) == (NAME, HOST)
    world, effects = play(world, good(NEW), now=NOW + 6)
    assert shown.urls(world) == (NAME, HOST, "https://10.0.0.5:8888/")
    (publish,) = of(Publish, effects)
    assert publish.snapshot.addresses[-1].ok


def test_one_that_goes_is_neither_shown_nor_a_fault() -> None:
    world = after(noticed(SINCE), PlanMade(WITH_NEW), good(NEW), now=NOW + 6)
    world = after(world, DeadlineCame(), replace(good(LOCAL), present=BEFORE), now=NOW + 10)
    world = after(world, replace(bad(NEW), present=BEFORE), now=NOW + 10)
    world, effects = play(world, PlanMade(MADE), now=NOW + 12)
    assert match(Record, message="this machine's addresses: 10.0.0.5 is gone") in effects
    assert shown.urls(world) == (NAME, HOST)
    world = after(world, DeadlineCame(), now=NOW + 60)
    assert snapshot(world).items == ()


def test_settings_that_nobody_reloaded_change_no_address() -> None:
    other = replace(WITH_NEW, listen=(replace(V4, port=9999), replace(V6, port=9999)))
    world, effects = play(noticed(SINCE), PlanMade(other), now=NOW + 6)
    assert (world.plan, of(Bind, effects), of(Record, effects)) == (MADE, [], [])


ONLY = replace(
    MADE, listen=(replace(V4, host="10.0.0.5"),), targets=(replace(NEW, needed=True),), urls=("https://10.0.0.5:8888/",),
    proofs=((0,),), present=SINCE,
)  # fmt: skip


def test_an_address_of_the_settings_that_is_gone_is_named_and_no_reason_to_kill_the_server() -> None:
    alone = ONLY.targets[0]
    world = after(serving(ONLY), DeadlineCame(), now=NOW + 4)
    for now in range(15, 200):  # each second: the probe fails, and the next one begins
        world = after(world, DeadlineCame(), replace(bad(alone, "host unreachable"), present=BEFORE), now=NOW + now)
        world = after(world, ChildStarted(Role.PLANNER, PLANNER, 90), PlanMade(ONLY), now=NOW + now)
        world = after(world, ChildExited(Role.PLANNER, PLANNER, 0, None), now=NOW + now)
    assert world.restarts == 0
    assert world.state == "serving"
    (item,) = snapshot(world).items
    assert (item.code, item.text) == ("address-unreachable", "no interface has the address 10.0.0.5")
    world = after(world, DeadlineCame(), replace(good(alone), present=SINCE), now=NOW + 201)
    assert snapshot(world).items == ()
