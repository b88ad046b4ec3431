"""How long to wait before the next start: one decaying number for how badly things have gone lately.

A failure is a start that came to nothing: the server never served, or for less than `served_s`. Each adds 1; the sum
halves every `failure_half_life_s`. A server that has served shows that starts work: its end clears the sum, and the
next one is started at once. Up to `failure_threshold` the delay is `backoff_first_s`; above it the delay, at least 1 s,
doubles with each further failure, up to `backoff_max_s`. Jitter adds up to `backoff_jitter` of the delay. The idea is
suture's. Policy is data (protocol/policy.py); time and jitter are arguments.

A server that crashes again and again after it has served has a budget: `crashes_at_once` of them in a row, none of
which served for `steady_s`, are started again at once. That is five minutes of somebody who kills it every 2 s. Beyond
it the delay doubles with each further one as above, so that a crash loop does not keep a processor and the journal busy
for ever. One server that serves for `steady_s` restores the budget.
"""

from __future__ import annotations

import math

from jupyterd.protocol.policy import Policy
from jupyterd.protocol.value import value


@value
class Score:
    """`value` failures, as of `at` (monotonic seconds); it halves every `failure_half_life_s`."""

    value: float = 0.0
    at: float = 0.0


def current(score: Score, now: float, policy: Policy) -> float:
    """The score decayed to `now`."""
    return score.value * math.pow(0.5, max(0.0, now - score.at) / policy.failure_half_life_s)


def after_failure(score: Score, now: float, policy: Policy) -> Score:
    """The score after one more failure at `now` (monotonic seconds)."""
    return Score(current(score, now, policy) + 1.0, now)


def after_crash(crashes: int, served_s: float, policy: Policy) -> int:
    """How many crashes in a row there are, after one of a server that had served for `served_s`."""
    return 1 if served_s >= policy.steady_s else crashes + 1


def crash_delay_s(crashes: int, policy: Policy, jitter: float) -> float:
    """The same as `delay_s`, after that many crashes in a row."""
    return delay_s(Score(policy.failure_threshold + crashes - policy.crashes_at_once), policy, jitter)


def delay_s(score: Score, policy: Policy, jitter: float) -> float:
    """Seconds until the next start after the failure that `score` already holds; `jitter` is in [0, 1)."""
    excess = score.value - policy.failure_threshold
    base = policy.backoff_first_s
    if excess > 0:
        # The exponent is bounded: 2.0 ** 2000 would raise OverflowError long after the maximum is reached.
        base = min(policy.backoff_max_s, max(1.0, base) * 2.0 ** min(excess, 64.0))
    return base * (1.0 + policy.backoff_jitter * jitter)
