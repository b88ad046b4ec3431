"""Apply the planner's answer: a new plan comes into force, or a refusal is kept and shown."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from jupyterd.core import journal_kinds, probes
from jupyterd.core.child import Running, Serving
from jupyterd.core.effects import CancelProbes, Effect, Record
from jupyterd.core.events import PlanMade
from jupyterd.core.world import Listening, Step, Stop, World, plan_of, serves
from jupyterd.protocol.plan import Plan, Refused
from jupyterd.text import day


def plan_made(world: World, event: PlanMade, now: float) -> Step:
    """The planner's answer. A plan that was asked for is taken over whole; one that was not brings, while the server
    serves, only what the machine itself changed. A refusal changes nothing and stays visible.
    """
    if isinstance(world.wanted, Stop):
        return world, ()
    old, reloading = plan_of(world), world.reload.reading
    match event.answer:
        case Plan() as new:
            pass
        case Refused(problems=problems):
            return refused(world, problems, now)
        case str() as problem:
            return refused(world, (f"the settings could not be read: {problem}",), now)
        case _:
            assert_never(event.answer)
    if not reloading and serves(world):
        new = _of_machine(old, new)
    replan_at = now + new.policy.machine_retry_s if new.waiting else None
    policy = replace(new.policy, watchdog_s=old.policy.watchdog_s)
    new = replace(new, policy=policy)
    reload = replace(world.reload, reading=False)
    world = replace(world, plan=new, refused=(), replan_at=replan_at, reload=reload)
    if new.live_key != old.live_key or (reloading and world.live_problem is not None):
        world = _forget_live_key_sent(replace(world, live_problem=None))
    if serves(world) and new.targets != old.targets and isinstance(world.sockets, Listening):
        fresh = probes.initial(new, world.sockets.open, now)
        if new.listen == old.listen:
            fresh = probes.continued(world.probes, fresh, now)
        world = replace(world, probes=fresh)
        return world, (CancelProbes(), *_moved(old, new), *_reloaded(world, old, reloading=reloading))
    return world, _reloaded(world, old, reloading=reloading)


def _of_machine(old: Plan, new: Plan) -> Plan:
    """Nobody asked for new settings: of the new plan only what the machine itself changed. Its addresses, while those
    to listen on are the ones in force: settings that nobody has reloaded may name other ones.
    """
    made = replace(old, certificate=new.certificate, warnings=new.warnings, live_key=new.live_key)
    same = (old.listen, old.base_url, old.certificate is None) == (new.listen, new.base_url, new.certificate is None)
    return replace(made, targets=new.targets, urls=new.urls, proofs=new.proofs, present=new.present) if same else made


def _moved(old: Plan, new: Plan) -> tuple[Effect, ...]:
    """One record for addresses that came or went, while those to listen on stay ("*")."""
    if new.listen != old.listen:
        return ()
    before, after = ({each.address: None for each in plan.targets} for plan in (old, new))
    changes = [f"{each} is new" for each in after if each not in before]
    changes += [f"{each} is gone" for each in before if each not in after]
    return (Record(journal_kinds.NETWORK, f"this machine's addresses: {', '.join(changes)}"),) if changes else ()


def _forget_live_key_sent(world: World) -> World:
    """Send the live settings again, even if the server refused the same ones before."""
    server = world.server
    if not isinstance(server, Running) or not isinstance(server.stage, Serving):
        return world
    return replace(
        world, server=replace(server, stage=replace(server.stage, live_key_sent=server.started_with.live_key))
    )


def _renewed(world: World, old: Plan) -> tuple[Effect, ...]:
    before, after = old.certificate, plan_of(world).certificate
    if before is None or after is None or before.sha256 == after.sha256:
        return ()
    until = day(after.not_after, world.clock.utc_offset_s)
    text = f"serving a new certificate: {after.file}, valid until {until}, for {', '.join(after.names)}"
    return (Record(journal_kinds.CERTIFICATE, text, (("CERTIFICATE_SHA256", after.sha256),)),)


def _reloaded(world: World, old: Plan, *, reloading: bool) -> tuple[Effect, ...]:
    new = plan_of(world)
    if not reloading:
        return _renewed(world, old)
    changed = []
    if new.listen != old.listen:
        changed.append("now listening on other addresses")
    if new.server_key != old.server_key:
        changed.append("the server restarts to apply settings that it reads only at its start; kernels keep running")
    if new.live_key != old.live_key:
        changed.append("the running server applies the rest")
    if new.policy != old.policy or new.sampler != old.sampler:
        changed.append("the supervisor applies its own part")
    what = "; ".join(changed) if changed else "nothing changed"
    return (Record(journal_kinds.RELOADED, f"settings reloaded: {what}"), *_renewed(world, old))


def refused(world: World, problems: tuple[str, ...], now: float) -> Step:
    """The old plan stays; the problems are kept, and reported if a reload asked for them."""
    policy = plan_of(world).policy
    replan_at = now + policy.machine_retry_s if plan_of(world).waiting else None
    told: tuple[Effect, ...] = ()
    if world.reload.reading:
        told = tuple(Record(journal_kinds.RELOAD_REFUSED, f"reload refused: {each}") for each in problems)
    reload = replace(world.reload, reading=False)
    return replace(world, replan_at=replan_at, refused=problems, reload=reload), told
