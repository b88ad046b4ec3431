"""The story of a crash: it survives as text, replays to the same world, and keeps the environment to itself."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from support.worlds import NOTHING, NOW, PLAN, SERVER, begun, good, plan, play, serving, starting, waiting, with_spare

from jupyterd.core import event_log, journal_kinds, step
from jupyterd.core.events import Bound, ChildExited, ChildStarted, Event, Role, ServerSaid, Signal, SignalReceived
from jupyterd.core.world import World
from jupyterd.protocol.server_channel import KernelCounts, Ready

ENTRIES: tuple[tuple[Event, float, float], ...] = (
    (Bound(()), NOW + 1.0, 0.25),
    (ChildStarted(Role.SERVER, SERVER, 70), NOW + 2.0, 0.5),
    (ServerSaid(SERVER, Ready()), NOW + 3.0, 0.75),
    (ServerSaid(SERVER, KernelCounts(2, 1, ("k",))), NOW + 4.0, 0.0),
    *((good(each), NOW + 5.0, 0.0) for each in PLAN.targets),
    (ChildExited(Role.SERVER, SERVER, None, "SIGSEGV"), NOW + 6.0, 0.125),
)


def story(start: World) -> World:
    """The end of ENTRIES."""
    for event, now, jitter in ENTRIES:
        start, _ = step.step(start, event, now, jitter)
    return start


def test_it_replays_to_the_same_world_with_the_same_effects() -> None:
    start = begun()
    log = event_log.decode(event_log.encode(start, ENTRIES, story(start)))
    assert [(each.event, each.now, each.jitter) for each in log.entries] == list(ENTRIES)
    assert (log.start, log.end) == (start, story(start))
    end, effects = event_log.replay(log, step.step)
    assert end == story(start)
    assert len(effects) == len(ENTRIES)
    assert effects[0] == play(start, Bound(()), now=NOW + 1.0)[1]


@pytest.mark.parametrize(
    "world", [step.start(), begun(plan()), waiting(), starting(), serving(plan()), with_spare()],
    ids=["nothing", "begun", "waiting", "starting", "serving", "spare"],
)  # fmt: skip
def test_every_world_survives_as_text(world: World) -> None:
    text = event_log.encode(world, (), world)
    assert "\n" not in text
    assert event_log.decode(text).start == world


def test_the_environment_keeps_its_secrets_and_equal_ones_stay_equal() -> None:
    env = (("TOKEN", "hush"), ("SAME", "hush"), ("OTHER", "quiet"))
    made = replace(PLAN, server=replace(NOTHING, env=env), planner=replace(NOTHING, env=env[2:]))
    world = begun(made)
    text = event_log.encode(world, (), world)
    assert "hush" not in text
    assert "quiet" not in text
    read = event_log.decode(text).start.plan
    assert read.server.env == (("TOKEN", "#1"), ("SAME", "#1"), ("OTHER", "#2"))
    assert read.planner.env == (("OTHER", "#2"),)
    assert (read.server.argv, read.server.cwd) == (NOTHING.argv, NOTHING.cwd)


def test_the_journal_record() -> None:
    world = step.start()
    entries = [(SignalReceived(Signal.HUP), 1.0, 0.0)] * 2
    record = event_log.record(world, entries, world)
    assert (record.kind, record.message) == (
        journal_kinds.EVENT_LOG,
        "the last 2 events of the supervisor, in JUPYTERD_EVENT_LOG=",
    )
    assert record.fields == (("JUPYTERD_EVENT_LOG", event_log.encode(world, entries, world)),)
    assert json.loads(record.fields[0][1])["entries"][0] == [{"SignalReceived": [{"Signal": "HUP"}]}, 1.0, 0.0]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"start": {"Nobody": []}, "entries": [], "end": null}'])
def test_text_that_is_no_story(text: str) -> None:
    with pytest.raises(ValueError, match=r"not an event log|Expecting value"):
        event_log.decode(text)
