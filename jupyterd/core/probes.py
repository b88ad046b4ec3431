"""What the probes have found, one record per address, and what follows: prove, suspect, mute, hung.

A probe's own exchange is supervisor/probe.py; when to begin one and what it means is decided here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from jupyterd.core.effects import Probe
from jupyterd.core.events import ProbeEnded
from jupyterd.protocol.plan import Listen, Plan, Target
from jupyterd.protocol.policy import Policy
from jupyterd.protocol.value import value

TIMEOUT_MIN_S = 1.0


@value
class Probing:
    """One address. Exactly one of `next_at` and `began` is set while the server runs; neither otherwise."""

    target: Target
    next_at: float | None = None
    began: float | None = None
    asked: float | None = None
    """When the last probe began."""
    good_since: float | None = None
    failing_since: float | None = None
    problem: str = ""
    wrong_certificate: bool = False
    """It answered with another certificate than the one on disk: not mute, not good."""


def initial(plan: Plan, opened: Sequence[Listen], now: float | None) -> tuple[Probing, ...]:
    """All addresses whose socket is open; due at once, or not at all."""
    return tuple(Probing(each, next_at=now) for each in plan.targets if plan.listen[each.listener] in opened)


def all_answered(probes: Sequence[Probing]) -> bool:
    """Every listening socket has given one good answer."""
    needed = [each for each in probes if each.target.needed]
    return bool(needed) and all(each.good_since is not None for each in needed)


def hung_at(probes: Sequence[Probing], policy: Policy) -> float | None:
    """When a server that answers on no address counts as hung; None while one of them answers.

    The first address may be silent for `hang_after_s`; the others are asked `suspect_after_s` later.
    """
    mute = [each.failing_since for each in probes if not each.wrong_certificate]
    since = [each for each in mute if each is not None]
    if not mute or len(since) < len(mute):
        return None
    return max(since) + policy.hang_after_s - policy.suspect_after_s


def alarm_at(probes: Sequence[Probing], policy: Policy) -> float | None:
    """From when on the first address is in doubt: it has failed, or will have been silent for too long."""
    if not probes:
        return None
    first = probes[0]
    if first.failing_since is not None:
        return first.failing_since
    return None if first.began is None else first.began + policy.suspect_after_s


def _alarm_since(probes: Sequence[Probing], now: float, policy: Policy) -> float | None:
    """Since when the first address has not answered, once its last probe is in doubt or has failed."""
    if not probes:
        return None
    first = probes[0]
    if first.began is None:
        return None if first.failing_since is None else first.asked
    return first.began if now >= first.began + policy.suspect_after_s else None


def _asked_before(probe: Probing, moment: float) -> bool:
    return probe.asked is None or probe.asked < moment


def begin_due(probes: Sequence[Probing], plan: Plan, now: float) -> tuple[tuple[Probing, ...], tuple[Probe, ...]]:
    """Begin every probe that is due; when the first address is in doubt, ask each of the others once, at once:
    what they answered before says nothing about now.
    """
    policy = plan.policy
    alarm = _alarm_since(probes, now, policy)
    after, begun = [], []
    for each in probes:
        routine = each.next_at is not None and each.next_at <= now
        doubt = alarm is not None and each.next_at is not None and _asked_before(each, alarm)
        if not routine and not doubt:
            after.append(each)
            continue
        waited = now - alarm if doubt and alarm is not None else 0.0
        timeout = max(TIMEOUT_MIN_S, policy.hang_after_s - waited)
        sha256 = None if plan.certificate is None else plan.certificate.sha256
        begun.append(Probe(each.target, plan.base_url + "api", sha256, timeout))
        after.append(replace(each, next_at=None, began=now, asked=now))
    return tuple(after), tuple(begun)


def apply_answer(  # noqa: PLR0913 - facts about one answer
    probes: Sequence[Probing], event: ProbeEnded, now: float, policy: Policy, *, verifying: bool, expected: str | None
) -> tuple[Probing, ...]:
    """Take an answer in. One that nobody waits for any more changes nothing."""
    after = []
    for index, each in enumerate(probes):
        if each.target != event.target or each.began is None:
            after.append(each)
        elif event.problem is None:
            every = policy.probe_every_s if index == 0 else policy.probe_others_every_s
            good_since = now if each.good_since is None else each.good_since
            after.append(Probing(each.target, next_at=now + every, asked=each.asked, good_since=good_since))
        else:
            retry = policy.probe_retry_s / 4 if verifying else policy.probe_retry_s
            failed = Probing(
                each.target,
                next_at=now + retry,
                asked=each.asked,
                failing_since=each.began if each.failing_since is None else each.failing_since,
                problem=event.problem,
                wrong_certificate=event.served_sha256 is not None and event.served_sha256 != expected,
            )
            after.append(failed)
    return tuple(after)


def deadline(probes: Sequence[Probing], policy: Policy) -> float | None:
    """The next moment at which an address wants something. Every one of them is acted on when it comes."""
    times = [each.next_at for each in probes if each.next_at is not None]
    first = probes[0].began if probes else None
    if first is not None and any(each.next_at is not None and _asked_before(each, first) for each in probes):
        times.append(first + policy.suspect_after_s)
    return min(times, default=None)
