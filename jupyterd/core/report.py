"""What is reported to people and to systemd: journal records, STATUS=, READY=1, the snapshot. Only changes."""

from __future__ import annotations

from dataclasses import replace

from jupyterd.core import busy, conditions, gpu_log, health, journal_kinds, reasons, shown
from jupyterd.core.child import BackingOff, Patience, Running, Serving, Stopping, process
from jupyterd.core.effects import Effect, Notify, Publish, Record, ShowBanner
from jupyterd.core.health import ActiveCondition
from jupyterd.core.probes import Probing
from jupyterd.core.world import Listening, Step, Stop, World, plan_of, serves
from jupyterd.protocol.gpu_frames import Gpu
from jupyterd.protocol.server_channel import KernelCounts
from jupyterd.protocol.status import Address, Item, ProcessIdentity, Snapshot
from jupyterd.text import advised, bracketed, plural

EXTEND_EVERY_S = 20.0
EXTEND_BY_S = 90.0


def report(world: World, now: float) -> Step:
    """(the world with all of this noted as reported, the effects that report it). `now` is monotonic."""
    effects: list[Effect] = []
    world = replace(world, proved=shown.proved(world))
    for part in (_health, _gpu_lines, _state, _notify, _banner, _publish):
        world, more = part(world, now)
        effects.extend(more)
    return world, tuple(effects)


def _health(world: World, now: float) -> Step:
    held, raised, cleared = health.update(world.conditions, conditions.current(world, now), now)
    effects: list[Effect] = []
    for each in raised:
        fields = (("HEALTH_CODE", each.named), ("HEALTH_ADVICE", each.advice))
        kind = journal_kinds.GPU_RAISED if each.kind.code.startswith("gpu") else journal_kinds.ITEM_RAISED
        effects.append(Record(kind, f"{each.text}  ({advised(each.advice)})", fields))
    for old in cleared:
        text = f"resolved after {now - old.since:.0f} s: {old.condition.text}"
        effects.append(Record(journal_kinds.ITEM_CLEARED, text, (("HEALTH_CODE", old.condition.named),)))
    return replace(world, conditions=held), tuple(effects)


def _gpu_lines(world: World, now: float) -> Step:
    gpus = world.gpus
    if gpus.log_at is None or now < gpus.log_at:
        return world, ()
    by_uuid: dict[str, list[Gpu]] = {}
    for frame in gpus.frames:
        for each in frame.gpus:
            by_uuid.setdefault(each.uuid, []).append(each)
    shown = tuple(gpu_log.aggregate(each) for each in by_uuid.values())
    policy = plan_of(world).policy
    said, due = gpu_log.due(gpus.last_lines, shown, now, policy)
    lines = tuple(Record(journal_kinds.GPU, line, gpu_log.fields(each)) for each, line in due)
    log_at = now + policy.gpu_log_every_s
    after = replace(gpus, frames=(), log_at=log_at, shown=shown or gpus.shown, last_lines=said or gpus.last_lines)
    return replace(world, gpus=after), lines


def _state(world: World, now: float) -> Step:
    """Update the snapshot's state: one word, and since when."""
    if isinstance(world.wanted, Stop):
        state = "stopping"
    elif serves(world):
        state = "serving"
    elif plan_of(world).waiting or (isinstance(world.sockets, Listening) and not world.sockets.open):
        state = "waiting"
    else:
        state = "restarting" if world.announced.ready else "starting"
    return (world, ()) if state == world.state else (replace(world, state=state, state_since=now), ())


def _visible(world: World) -> tuple[ActiveCondition, ...]:
    return tuple(each for each in world.conditions if each.announced)


def status_text(world: World) -> str:
    """The text of STATUS=, for `systemctl status`: what the service does, the number of kernels, the first problem."""
    parts = [_doing(world)]
    kernels = _kernels(world)
    if kernels is not None and world.state == "serving":
        total, busy = kernels.total, kernels.busy
        parts.append(plural(total, "kernel") + (f", {busy} busy" if busy else ""))
    visible = _visible(world)
    if visible and world.state != "waiting":
        more = f" (and {len(visible) - 1} more: jupyterd status)" if len(visible) > 1 else ""
        parts.append(f"problem: {visible[0].condition.text}{more}")
    return "; ".join(parts)


def _kernels(world: World) -> KernelCounts | None:
    """As the server that runs now has reported; None: it has not."""
    server = process(world.server)
    return world.kernels if server is not None and server.pid == world.kernels_of else None


def _doing(world: World) -> str:
    plan = plan_of(world)
    match world.state:
        case "stopping":
            return f"Stopping{_still(world)}"
        case "serving":
            stage = world.server.stage if isinstance(world.server, Running) else None
            since = stage.since if isinstance(stage, Serving) else 0.0
            where = next(iter(shown.urls(world)), "without an address that answers,")
            return f"Serving {where} since {world.clock.moment(since)}"
        case "waiting":
            waiting = [
                each.condition.text for each in world.conditions if each.condition.kind in (health.WAITING, health.PORT)
            ]
            every_s = plan.policy.machine_retry_s if plan.waiting else plan.policy.bind_retry_s
            return f"Waiting: {'; '.join(waiting)}; checked again every {every_s:.0f} s"
        case _:
            if isinstance(world.server, BackingOff):
                until = world.clock.time_of_day(world.server.until)
                return f"The server {reasons.text(world.server.reason)}; next start at {until}"
            running = process(world.server)
            return "Starting the server" + (f" (pid {running.pid})" if running else "")


def _patience(world: World) -> Patience | None:
    """Of a server that is asked to end and finishes a request first."""
    for each in (world.server, world.retired):
        if isinstance(each, Stopping) and each.patience is not None and each.patience.doing is not None:
            return each.patience
    return None


def needs_time(world: World) -> bool:
    """Whether systemd has to be asked for more time: it starts, or a busy server keeps it from stopping."""
    if isinstance(world.wanted, Stop):
        return _patience(world) is not None
    return not world.announced.ready


def _still(world: World) -> str:
    """What keeps it from stopping."""
    patience = _patience(world)
    if patience is not None and patience.doing is not None and patience.seen is not None:
        until = world.clock.time_of_day(patience.until)
        request, doing = patience.seen.request or "a request", busy.phrase(patience.doing)
        return f": the server is busy with {request} ({doing}); it has until {until} to finish that"
    if process(world.server) is not None:
        return ": waiting for the server to finish"
    return ": shutting down the kernels" if process(world.ender) else ""


def _notify(world: World, now: float) -> Step:
    announced, note = world.announced, Notify()
    if isinstance(world.wanted, Stop) and not announced.stopping:
        note, announced = replace(note, stopping=True), replace(announced, stopping=True)
    elif serves(world) and not announced.ready:
        note, announced = replace(note, ready=True), replace(announced, ready=True, extend_at=None)
    elif announced.ready and world.reload.close_by is not None and not announced.reloading:
        note, announced = replace(note, reloading=True), replace(announced, reloading=True)
    elif announced.reloading and world.reload.close_by is None:
        note, announced = replace(note, ready=True), replace(announced, reloading=False)
    if needs_time(replace(world, announced=announced)) and (announced.extend_at is None or now >= announced.extend_at):
        note = replace(note, extend_timeout_s=EXTEND_BY_S)  # at once: a drop-in may have shortened TimeoutStartSec=
        announced = replace(announced, extend_at=now + EXTEND_EVERY_S)
    status = status_text(world)
    if status != announced.status:
        note, announced = replace(note, status=status), replace(announced, status=status)
    return replace(world, announced=announced), () if note == Notify() else (note,)


def _banner(world: World, now: float) -> Step:  # noqa: ARG001 - every part has the same form
    urls = shown.urls(world)
    if world.announced.banner or not serves(world) or not shown.decided(world) or not urls:
        return world, ()
    return replace(world, announced=replace(world.announced, banner=True)), (ShowBanner(urls),)


def _publish(world: World, now: float) -> Step:  # noqa: ARG001 - every part has the same form
    shot = snapshot(world)
    if shot == world.announced.snapshot:
        return world, ()
    return replace(world, announced=replace(world.announced, snapshot=shot)), (Publish(shot),)


def snapshot(world: World) -> Snapshot:
    """The status document, with monotonic times; supervisor/status_file.py converts them to Unix seconds."""
    plan, kernels = plan_of(world), _kernels(world)
    scheme = "http" if plan.certificate is None else "https"
    unproved = shown.unproved_names(world)
    return Snapshot(
        version=plan.version,
        mode=plan.mode,
        account=plan.account,
        state="stopped" if world.quitting else world.state,
        status=world.announced.status,
        since=world.state_since,
        supervisor=world.supervisor,
        server=process(world.server),
        spare=process(world.spare),
        sampler=_sampler(world),
        urls=shown.urls(world),
        addresses=tuple(
            _address(each, scheme, plan.base_url, world) for each in world.probes if each.target.name not in unproved
        ),
        certificate=plan.certificate,
        kernels=None if kernels is None else kernels.total,
        kernels_busy=None if kernels is None else kernels.busy,
        reloads=world.reloads,
        restarts=world.restarts,
        recent=world.recent,
        items=tuple(_item(each) for each in _visible(world)),
        gpus=world.gpus.shown,
        state_dir=plan.state_dir,
        culled=world.culling.ended,
        refused=world.refused,
    )


def _sampler(world: World) -> ProcessIdentity | None:
    """The sampler's process, from its last frame; before the first frame the relay's; None: neither runs."""
    relay, last = process(world.sampler_relay), world.gpus.last_frame
    if relay is None or last is None or last.pid is None or last.started is None:
        return relay
    return ProcessIdentity(last.pid, last.started)


def _address(each: Probing, scheme: str, base_url: str, world: World) -> Address:
    host = bracketed(each.target.name)
    since = each.failing_since if each.failing_since is not None else each.good_since
    return Address(
        name=each.target.name,
        url=f"{scheme}://{host}:{each.target.port}{base_url}",
        ok=each.failing_since is None and each.good_since is not None,
        since=world.state_since if since is None else since,
        detail=each.problem,
    )


def _item(each: ActiveCondition) -> Item:
    condition = each.condition
    return Item(condition.named, condition.kind.severity, condition.text, condition.advice, each.since)
