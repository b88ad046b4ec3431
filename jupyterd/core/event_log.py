"""The story of a run as text: a world, the events that came after it, and the world that they led to.

`step` has no input but the world, the event, `now` and `jitter`, so these replay to the same world, and the effects
need not be kept: the replay gives them. Tagged JSON: a record is {"ClassName": [values]}, an enum member is
{"ClassName": "MEMBER"}, a tuple is a list.

Environment values may be secret, so each is written as "#1", "#2", ...: equal values get equal numbers, which is all
that `step` asks of them. Nothing else in a world or an event is secret (docs/security.md).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from jupyterd.core import backoff, child, events, gpu_cull, gpu_health, gpu_log, health, probes, reasons, world
from jupyterd.core.effects import Effect, Record
from jupyterd.core.events import Event
from jupyterd.core.journal_kinds import EVENT_LOG
from jupyterd.core.world import World
from jupyterd.protocol import gpu_frames, plan, policy, server_channel, status
from jupyterd.protocol.plan import Command
from jupyterd.protocol.value import value

FIELD = "JUPYTERD_EVENT_LOG"
"""The journal field that holds the text."""


@value
class LoggedEvent:
    """One call of `step`: the event, at what monotonic time, with what jitter."""

    event: Event
    now: float
    jitter: float


@value
class EventLog:
    """`end` is the world after the last entry; where that one's `step` raised, the world before it."""

    start: World
    entries: tuple[LoggedEvent, ...]
    end: World


def record(start: object, entries: Sequence[tuple[object, float, float]], end: object) -> Record:
    """The journal record with the story in FIELD; `entries` are (event, now, jitter), oldest first."""
    text = encode(start, entries, end)
    return Record(EVENT_LOG, f"the last {len(entries)} events of the supervisor, in {FIELD}=", ((FIELD, text),))


def encode(start: object, entries: Sequence[tuple[object, float, float]], end: object) -> str:
    """The story in one line."""
    numbers: dict[str, int] = {}
    document = {
        "start": _plain(start, numbers),
        "entries": [[_plain(event, numbers), now, jitter] for event, now, jitter in entries],
        "end": _plain(end, numbers),
    }
    return json.dumps(document, separators=(",", ":"))


def decode(text: str) -> EventLog:
    """The story back. ValueError for text that `encode` did not write."""
    classes = {each.__name__: each for each in _classes()}
    try:
        document = json.loads(text)
        made = [LoggedEvent(_value(event, classes), now, jitter) for event, now, jitter in document["entries"]]
        return EventLog(_value(document["start"], classes), tuple(made), _value(document["end"], classes))
    except (KeyError, TypeError) as error:
        raise ValueError(f"not an event log: {type(error).__name__}: {error}") from error


def replay(
    log: EventLog, step: Callable[[World, Event, float, float], tuple[World, tuple[Effect, ...]]]
) -> tuple[World, tuple[tuple[Effect, ...], ...]]:
    """(the world after all entries, the effects of each entry). It raises what `step` raises."""
    after, effects = log.start, []
    for entry in log.entries:
        after, more = step(after, entry.event, entry.now, entry.jitter)
        effects.append(more)
    return after, tuple(effects)


def _plain(value: Any, numbers: dict[str, int]) -> Any:  # noqa: ANN401 - any record there is
    match value:
        case Command(argv, env, cwd):
            masked = [[name, f"#{numbers.setdefault(secret, len(numbers) + 1)}"] for name, secret in env]
            return {"Command": [list(argv), masked, cwd]}
        case Enum():
            return {type(value).__name__: value.name}
        case tuple():
            return [_plain(each, numbers) for each in value]
        case _ if is_dataclass(value):
            return {type(value).__name__: [_plain(getattr(value, each.name), numbers) for each in fields(value)]}
        case _:
            return value


def _value(plain: Any, classes: dict[str, type[Any]]) -> Any:  # noqa: ANN401 - any record there is
    match plain:
        case list():
            return tuple(_value(each, classes) for each in plain)
        case dict():
            ((name, content),) = plain.items()
            made = classes[name]
            return made[content] if issubclass(made, Enum) else made(*(_value(each, classes) for each in content))
        case _:
            return plain


def _classes() -> Iterator[type[Any]]:
    """Every class that may be in a world or an event, from the modules that define them."""
    for module in (
        backoff, child, events, gpu_cull, gpu_health, gpu_log, health, probes, reasons, world,
        gpu_frames, plan, policy, server_channel, status,
    ):  # fmt: skip
        for each in vars(module).values():
            if isinstance(each, type) and each.__module__ == module.__name__:
                yield each
