"""The results of the probes, one record per address, and what follows: answering, in doubt, failing, hung.

supervisor/probe.py makes the exchange of one probe; when to begin one and what its result means is decided here.
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
    """The probes of one address. While the server runs exactly one of `next_at` and `began` is set, else neither."""

    target: Target
    next_at: float | None = None
    began: float | None = None
    asked: float | None = None
    """When the last probe began."""
    good_since: float | None = None
    failing_since: float | None = None
    problem: str = ""
    wrong_certificate: bool = False
    """It answers with another certificate than the one on disk: it counts neither as good nor as failing."""
    absent: bool = False
    """It does not answer, and no interface has the address any more: that says nothing about the server."""


def initial(plan: Plan, opened: Sequence[Listen], now: float | None) -> tuple[Probing, ...]:
    """One record for each address whose socket is open; the first probe is due at `now`, None: none is due."""
    return tuple(Probing(each, next_at=now) for each in plan.targets if plan.listen[each.listener] in opened)


def all_answered(probes: Sequence[Probing]) -> bool:
    """Whether every listening socket has given a good answer, those apart whose address is gone."""
    needed = [each for each in probes if each.target.needed and not each.absent]
    return bool(needed) and all(each.good_since is not None for each in needed)


def hung_at(probes: Sequence[Probing], policy: Policy) -> float | None:
    """When a server that answers on no address counts as hung (monotonic); None while one of them answers.

    The first address may be silent for `hang_after_s`; the others are probed `suspect_after_s` later.
    """
    counted = [each for each in probes if not each.wrong_certificate and not each.absent]
    since = [each.failing_since for each in counted if each.failing_since is not None]
    if not counted or len(since) < len(counted):
        return None
    return max(since) + policy.hang_after_s - policy.suspect_after_s


def alarm_at(probes: Sequence[Probing], policy: Policy) -> float | None:
    """From when on the first address is in doubt (monotonic): its probe failed, or takes too long."""
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
    """Begin every probe that is due. When the first address is in doubt, probe each of the others once, at once:
    their earlier answers say nothing about now.
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
    """The records after a probe's result. A late result, of a probe that is no longer awaited, changes nothing."""
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
                absent=_is_absent(event),
            )
            after.append(failed)
    return tuple(after)


def _is_absent(event: ProbeEnded) -> bool:
    address = event.target.address
    loopback = address == "::1" or address.startswith("127.")  # the whole of 127.0.0.0/8 is this machine
    return bool(event.present) and not loopback and address not in event.present


def continued(before: Sequence[Probing], after: Sequence[Probing], now: float) -> tuple[Probing, ...]:
    """The records `after` (probes.initial) of other targets, with what is known of those that stay. Those whose probe
    is under way are due at once, because it is cancelled.
    """
    known = {
        each.target: replace(each, next_at=now if each.next_at is None else each.next_at, began=None) for each in before
    }
    return tuple(known.get(each.target, each) for each in after)


def deadline(probes: Sequence[Probing], policy: Policy) -> float | None:
    """The next monotonic time at which a probe is due or in doubt. Something is done at each of them."""
    times = [each.next_at for each in probes if each.next_at is not None]
    first = probes[0].began if probes else None
    if first is not None and any(each.next_at is not None and _asked_before(each, first) for each in probes):
        times.append(first + policy.suspect_after_s)
    return min(times, default=None)
