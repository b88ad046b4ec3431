"""When a problem is told: after how long, not beside the one that explains it, once, and once that it is over."""

from __future__ import annotations

from pathlib import Path

import pytest
from system.health_items import MADE, NOT_MADE

from jupyterd.core import health
from jupyterd.core.health import ActiveCondition, Condition, HealthKind

BLIP = HealthKind("blip", "warning", visible_after_s=10.0)
AT_ONCE = HealthKind("at-once", "error")
CAUSE = HealthKind("cause", "error", visible_after_s=5.0)
EFFECT = HealthKind("effect", "warning", visible_after_s=10.0, hidden_by=("cause",))
KINDS = {each.code: each for each in (BLIP, AT_ONCE, CAUSE, EFFECT)}


def told(*moments: tuple[float, str]) -> list[str]:
    """What is said when at each time these hold ("kind" or "kind:about", by spaces): "10 +blip", "30 -blip"."""
    held: tuple[ActiveCondition, ...] = ()
    said = []
    for now, names in moments:
        found = []
        for name in names.split():
            code, _, about = name.partition(":")
            found.append(Condition(KINDS[code], about, name, "advice"))
        held, raised, cleared = health.update(held, found, now)
        said += [f"{now} +{each.text}" for each in raised] + [f"{now} -{each.condition.text}" for each in cleared]
    return said


@pytest.mark.parametrize(
    ("moments", "said"),
    [
        ([(0, "at-once"), (1, "at-once"), (2, "")], ["0 +at-once", "2 -at-once"]),
        ([(0, "blip"), (9, "blip"), (10, "blip"), (11, "blip")], ["10 +blip"]),
        ([(0, "blip"), (9, ""), (10, "")], []),  # never told, so never cleared
        ([(0, "blip"), (9, ""), (10, "blip"), (19, "blip"), (20, "blip")], ["20 +blip"]),  # the time begins again
        ([(0, "blip"), (12, "blip"), (13, ""), (14, "")], ["12 +blip", "13 -blip"]),
        ([(0, "blip:a"), (9, "blip:b"), (10, "blip:b"), (19, "blip:b")], ["19 +blip:b"]),  # another address
        ([(0, "at-once:a"), (1, "at-once:a at-once:b"), (2, "at-once:b")], [
            "0 +at-once:a", "1 +at-once:b", "2 -at-once:a"]),
        # explained: not told while the cause is there, told when the cause goes and it stays
        ([(0, "cause effect"), (5, "cause effect"), (10, "cause effect"), (99, "cause effect")], ["5 +cause"]),
        ([(0, "cause effect"), (5, "cause effect"), (20, "effect")], ["5 +cause", "20 +effect", "20 -cause"]),
        ([(0, "cause effect"), (5, "cause effect"), (20, "")], ["5 +cause", "20 -cause"]),
        # a cause that is not ripe explains nothing yet
        ([(0, "effect"), (7, "effect cause"), (10, "effect cause")], ["10 +effect"]),
        # the explanation goes one way only
        ([(0, "effect"), (10, "effect"), (11, "effect cause"), (16, "effect cause")], ["10 +effect", "16 +cause"]),
        # what was told stays told, and its end is told, too
        ([(0, "effect"), (10, "effect"), (11, "effect cause"), (16, "effect cause"), (20, "cause")], [
            "10 +effect", "16 +cause", "20 -effect"]),
    ],
)  # fmt: skip
def test_what_is_told(moments: list[tuple[float, str]], said: list[str]) -> None:
    assert told(*moments) == said


def test_the_text_may_change_while_it_holds() -> None:
    first, second = (Condition(AT_ONCE, "x", text, "") for text in ("in 10 days", "in 9 days"))
    held, raised, _ = health.update((), [first], 0.0)
    held, again, cleared = health.update(held, [second], 86400.0)
    assert (raised, again, cleared) == ((first,), (), ())
    assert held == (ActiveCondition(second, 0.0, True, True),)  # noqa: FBT003 - the value's own fields


@pytest.mark.parametrize(
    ("begun", "due"),
    [({}, None), ({"blip": 3.0}, 13.0), ({"blip": 3.0, "cause": 4.0}, 9.0), ({"at-once": 3.0}, None)],
)
def test_the_deadline_is_when_the_next_becomes_ripe(begun: dict[str, float], due: float | None) -> None:
    held: tuple[ActiveCondition, ...] = ()
    conditions: list[Condition] = []
    for code, at in begun.items():
        conditions.append(Condition(KINDS[code], "", code, ""))
        held, _, _ = health.update(held, conditions, at)
    assert health.deadline(held) == due
    if due is not None:
        ripe, _, _ = health.update(held, conditions, due)
        assert health.deadline(ripe) != due


def test_which_problems_explain_which() -> None:
    kinds = [value for value in vars(health).values() if isinstance(value, HealthKind)]
    explained = set()
    for cause in kinds:
        for other in kinds:
            both = [Condition(each, "", each.code, "") for each in (cause, other)]
            _, raised, _ = health.update([ActiveCondition(each, -1e6, False, False) for each in both], both, 0.0)  # noqa: FBT003
            explained |= {(each.kind.code, cause.code) for each in both if each not in raised and each.kind is other}
    assert explained == {
        ("address-unreachable", "server-down"),
        ("address-unreachable", "waiting"),
        ("server-down", "waiting"),
        ("gpu-sampler", "wedged-sampler-relay"),
        ("gpu-sampler", "user-manager"),
        ("output-not-kept", "user-manager"),
        ("recorder-ends", "user-manager"),
        ("recorder-ends", "output-not-kept"),
    }


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [
        (health.SERVER_DOWN, 5.0), (health.WAITING, 1.0), (health.PORT, 1.0), (health.ADDRESS_UNREACHABLE, 10.0),
        (health.CERTIFICATE_DIFFERS, 10.0), (health.GPU_SLOWED, 90.0), (health.GPU_FULL, 30.0),
        (health.GPU_HELD, 3600.0), (health.CANNOT_START, 0.0), (health.WEDGED, 0.0), (health.SETTINGS_REFUSED, 0.0),
    ],
)  # fmt: skip
def test_how_long_each_kind_must_hold(kind: HealthKind, seconds: float) -> None:
    one = [Condition(kind, "", "it", "")]
    held, raised, _ = health.update((), one, 0.0)
    assert bool(raised) is (seconds == 0.0)
    if seconds:
        assert health.deadline(held) == seconds
        assert not health.update(held, one, seconds - 0.01)[1]
        assert health.update(held, one, seconds)[1]


def test_what_is_an_error_when_it_shows_and_what_explains_it() -> None:
    """Monitors act on codes and severities; another delay or severity is a decision."""
    kinds = [each for each in vars(health).values() if isinstance(each, HealthKind)]
    assert {each.code: (each.severity, each.visible_after_s, *each.hidden_by) for each in kinds} == {
        "server-down": ("error", 5.0, "waiting"),
        "server-cannot-start": ("error", 0.0),
        "waiting": ("error", 1.0),
        "listen": ("error", 1.0),
        "address-unreachable": ("warning", 10.0, "server-down", "waiting"),
        "certificate-differs": ("warning", 10.0),
        "certificate-expired": ("error", 0.0),
        "certificate-not-yet-valid": ("error", 0.0),
        "certificate-ends": ("warning", 0.0),
        "certificate-almost-over": ("error", 0.0),
        "settings-refused": ("warning", 0.0),
        "live-refused": ("warning", 0.0),
        "server-busy": ("warning", 0.0),
        "wedged": ("error", 0.0),
        "wedged-sampler-relay": ("error", 0.0),
        "gpu-sampler": ("warning", 0.0, "wedged-sampler-relay", "user-manager"),
        "user-manager": ("error", 0.0),
        "output-not-kept": ("warning", 3.0, "user-manager"),
        "recorder-ends": ("warning", 0.0, "user-manager", "output-not-kept"),
        "gpu": ("error", 0.0),
        "gpu-error": ("error", 0.0),
        "gpu-xid": ("warning", 0.0),
        "gpu-slowed": ("warning", 90.0),  # a second look, a minute later, must see it too
        "gpu-memory-full": ("warning", 30.0),
        "gpu-memory-held": ("warning", 3600.0),
        "gpu-driver-changed": ("warning", 0.0),
        "gpu-cull-soon": ("warning", 0.0),
        "advised": ("warning", 0.0),
    }


def test_every_kind_is_made_with_real_processes_somewhere_or_it_is_said_why_not() -> None:
    """A new kind gets a row in tests/system/health_items.py."""
    kinds = {each.code for each in vars(health).values() if isinstance(each, HealthKind)}
    assert kinds == MADE.keys() | NOT_MADE.keys()
    assert not MADE.keys() & NOT_MADE.keys()
    root = Path(__file__).parents[3]
    assert [file for file in MADE.values() if not (root / file).exists()] == []
