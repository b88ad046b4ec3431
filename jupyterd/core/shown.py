"""Which URLs are shown: those that are proved to lead to our own server, on every address to which they lead.

Proof is a good answer to a probe (over TLS with our certificate, whose key nobody else has) while the socket that
covers the address is ours and open: as long as it is, the Linux kernel lets nobody else listen there. So a proof
outlives the server that gave it, and ends with the socket, with a bad answer, or when the address leaves the machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from jupyterd.core.probes import Probing
from jupyterd.core.world import Listening, World, plan_of
from jupyterd.protocol.plan import Target


def proved(world: World) -> tuple[Target, ...]:
    """The targets that are proved now: those of before, and what the probes say since."""
    plan = plan_of(world)
    opened = world.sockets.open if isinstance(world.sockets, Listening) else ()
    answers = {each.target: each for each in world.probes}
    return tuple(
        target
        for target in plan.targets
        if plan.listen[target.listener] in opened and _good(answers.get(target), before=target in world.proved)
    )


def _good(answer: Probing | None, *, before: bool) -> bool:
    if answer is None or (answer.good_since is None and answer.failing_since is None):
        return before  # not asked yet
    return answer.failing_since is None


def decided(world: World) -> bool:
    """Whether every address has answered, or failed to, since the server is there."""
    return all(each.good_since is not None or each.failing_since is not None for each in world.probes)


def urls(world: World) -> tuple[str, ...]:
    """The URLs to show now, best first; of several over loopback only the best."""
    plan = plan_of(world)
    known = set(proved(world))
    shown, has_loopback = [], False
    for url, indexes in zip_longest(plan.urls, plan.proofs, fillvalue=()):
        needed = [plan.targets[index] for index in indexes]
        loopback = _is_loopback(needed)
        if known.issuperset(needed) and not (loopback and has_loopback):
            shown.append(str(url))
            has_loopback = has_loopback or loopback
    return tuple(shown)


def _is_loopback(needed: Sequence[Target]) -> bool:
    return bool(needed) and all(each.address == "::1" or each.address.startswith("127.") for each in needed)


def unproved_names(world: World) -> frozenset[str]:
    """Host names that may lead to somebody else, because the socket for one of their addresses is not open."""
    plan, probed = plan_of(world), {each.target for each in world.probes}
    all_needed = [[plan.targets[index] for index in indexes] for indexes in plan.proofs]
    return frozenset(
        each.name
        for needed in all_needed
        if not probed.issuperset(needed)
        for each in needed
        if each.name != each.address
    )
