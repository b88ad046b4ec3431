"""The problems of this moment, computed from the world: for each a sentence and what to type. Never stored."""

from __future__ import annotations

from collections.abc import Iterator

from jupyterd.core import gpu_health, health, reasons
from jupyterd.core.child import BackingOff, Finishing, Running, WaitsForDisk, process
from jupyterd.core.events import BindFailed, Role
from jupyterd.core.health import Condition
from jupyterd.core.reconcile import outdated
from jupyterd.core.world import Listening, Stop, Unbound, World, plan_of
from jupyterd.protocol.plan import Certificate
from jupyterd.text import bracketed, expiry, moment, plural

WARN_SHARE = 1 / 3
"""Share of the certificate's lifetime left. Not a number of days: certificates of 45 days are renewed at day 30."""
ERROR_SHARE = 1 / 10
"""By then renewal has failed for weeks; of 45 days these are the last four and a half."""
RENEWAL = {
    "settings": "renew it at its source; jupyterd notices the new file automatically",
    "installed": "if certbot made it: sudo certbot renew; otherwise: jupyterd cert install FILES",
    "local": "see why it was not renewed automatically: journalctl -u jupyterd -p warning; then jupyterd cert new",
    "self-signed": "see why it was not renewed automatically: journalctl -u jupyterd -p warning",
}
"""Certificate.source -> advice."""
REPORTED_FOR_S = 10.0
"""What a server reported is not claimed for longer than this after its end."""
LOG_ADVICE = "journalctl -t jupyterd-server -n 50"


_NAMED_MOST = 3
"""Documents in one sentence."""


def current(world: World, now: float) -> Iterator[Condition]:
    """Every problem at `now` (monotonic seconds), also those that are not visible yet."""
    if isinstance(world.wanted, Stop):
        yield from _wedged(world)
        return
    yield from _machine(world)
    yield from _server(world)
    yield from _addresses(world)
    plan = plan_of(world)
    if plan.certificate is not None and world.clock.wall_offset_s:
        yield from _certificate(plan.certificate, world.clock.unix(now), world)
    yield from _settings(world)
    yield from _retired(world)
    yield from _wedged(world)
    if world.down_since is None or now - world.down_since < REPORTED_FOR_S:
        for code, about, text, advice in world.reported.problems:
            yield Condition(health.of_server(code), about, text, advice)
    yield from _gpu(world, now)
    for each in world.culling.warned:
        yield Condition(health.CULL_SOON, each.kernel, each.text, "jupyterd gpu")


def _machine(world: World) -> Iterator[Condition]:
    for trouble in plan_of(world).waiting:
        yield Condition(health.WAITING, trouble.code, trouble.text, trouble.advice, code=trouble.code)
    if not isinstance(world.sockets, Unbound):
        for failed in world.sockets.failed:
            yield _listen(failed)


def _listen(failed: BindFailed) -> Condition:
    host, port = failed.listen.host, failed.listen.port
    where = f"{bracketed(host)}:{port}"
    look = f"sudo ss -ltnp 'sport = :{port}'"
    match failed.reason:
        case "busy":
            held = f" by {failed.detail}" if failed.detail else ""
            text, advice = f"{where} is in use{held}", look
        case "absent":
            text, advice = f"no interface has the address {host}", "ip address show"
        case "denied":
            text = f"this account may not listen on {where}"
            advice = "choose a port of 1024 or more, or let the service have this one: sudo jupyterd setup --yes"
        case "other":
            text, advice = f"cannot listen on {where}: {failed.detail}", look
    return Condition(health.PORT, where, text, advice, code=f"listen-{failed.reason}")


def _server(world: World) -> Iterator[Condition]:
    if world.cannot_start is not None:
        yield Condition(health.CANNOT_START, "", world.cannot_start, LOG_ADVICE)
    waiting = plan_of(world).waiting or (isinstance(world.sockets, Listening) and not world.sockets.open)
    if world.down_since is None or waiting or not world.announced.ready:
        return
    match world.server:
        case BackingOff(reason=reason):
            text = f"the server {reasons.text(reason)}"
        case other if process(other) is None:
            text = "the server is being restarted"
        case _:
            text = "the server has started but does not serve yet"
    yield Condition(health.SERVER_DOWN, "", text, LOG_ADVICE)


def _addresses(world: World) -> Iterator[Condition]:
    for each in world.probes:
        if each.wrong_certificate:
            text = f"{each.target.name} {each.problem}"
            yield Condition(
                health.CERTIFICATE_DIFFERS, each.target.name, text, "jupyterd status; systemctl reload jupyterd"
            )
        elif each.absent:
            text = f"no interface has the address {each.target.address}"
            yield Condition(health.ADDRESS_UNREACHABLE, each.target.name, text, "ip address show")
        elif each.failing_since is not None:
            text = f"{each.target.name}, port {each.target.port}: {each.problem}"
            advice = f"a firewall on this machine? sudo nft list ruleset; sudo ss -ltn 'sport = :{each.target.port}'"
            yield Condition(health.ADDRESS_UNREACHABLE, each.target.name, text, advice)


def _certificate(pair: Certificate, unix_now: float, world: World) -> Iterator[Condition]:
    left_s = pair.not_after - unix_now
    life_s = pair.not_after - pair.not_before
    advice = RENEWAL.get(pair.source, RENEWAL["settings"])
    end, begin = (moment(each, world.clock.utc_offset_s) for each in (pair.not_after, pair.not_before))
    if left_s <= 0:
        text = f"the certificate {pair.file} {expiry(left_s, end)}"
        yield Condition(health.CERTIFICATE_EXPIRED, pair.file, text, advice)
    elif unix_now < pair.not_before:
        text = f"the certificate {pair.file} is not valid before {begin}"
        yield Condition(health.CERTIFICATE_EARLY, pair.file, text, "is this machine's clock right? timedatectl")
    elif left_s < WARN_SHARE * life_s:
        kind = health.CERTIFICATE_ALMOST_OVER if left_s < ERROR_SHARE * life_s else health.CERTIFICATE_ENDS
        text = f"the certificate {pair.file} {expiry(left_s, end)}"
        yield Condition(kind, pair.file, text, advice)


def _settings(world: World) -> Iterator[Condition]:
    if world.refused:
        more = "" if len(world.refused) == 1 else f" (and {len(world.refused) - 1} more)"
        yield Condition(health.SETTINGS_REFUSED, "", world.refused[0] + more, "jupyterd config check")
    if world.live_problem is not None:
        yield Condition(health.LIVE_REFUSED, "", world.live_problem, "jupyterd config check")
    if world.unsaved and outdated(world) is not None:
        names = ", ".join(world.unsaved[:_NAMED_MOST]) + (" ..." if len(world.unsaved) > _NAMED_MOST else "")
        text = f"the new settings wait: the server has {plural(len(world.unsaved), 'unsaved document')} ({names})"
        advice = "save them in the browser; or, to lose what is not saved: systemctl restart jupyterd"
        yield Condition(health.ADVISED, "unsaved", text, advice, code="settings-wait")
    for trouble in (*plan_of(world).warnings, *world.advised):
        yield Condition(health.ADVISED, trouble.code, trouble.text, trouble.advice, code=trouble.code)


def _retired(world: World) -> Iterator[Condition]:
    if not isinstance(world.retired, Running) or not isinstance(world.retired.stage, Finishing):
        return
    pid, doing = world.retired.process.pid, world.retired.stage.doing
    request = world.retired.stage.seen.request or "a request"
    text = f"an earlier server (pid {pid}) still works on {request}; a new one serves everybody else"
    advice = "journalctl -t jupyterd-server -n 100"
    if isinstance(doing, WaitsForDisk):
        text = f"an earlier server (pid {pid}) waits: {doing.what}; a new one serves everybody else"
        advice = f"check that disk; sudo cat /proc/{pid}/stack; {advice}"
    yield Condition(health.SERVER_BUSY, str(pid), text, advice)


def _wedged(world: World) -> Iterator[Condition]:
    for each in world.wedged:
        text = f"the {each.role.value} process {each.process.pid} does not end even after SIGKILL"
        kind = health.WEDGED_RELAY if each.role is Role.SAMPLER_RELAY else health.WEDGED
        advice = f"sudo cat /proc/{each.process.pid}/stack"
        yield Condition(kind, str(each.process.pid), text, advice, code=health.WEDGED.code)


def _gpu(world: World, now: float) -> Iterator[Condition]:
    if world.gpus.problem is not None:
        pid = world.gpus.last_frame.pid if world.gpus.last_frame is not None else None
        which = "the GPU sampler" if pid is None else f"the GPU sampler (pid {pid})"
        yield Condition(health.SAMPLER, "", f"{which} {world.gpus.problem}", "journalctl -t jupyterd-gpu -n 20")
    if world.gpus.last_frame is not None:
        yield from gpu_health.conditions(world.gpus.last_frame, world.gpus.errors, world.conditions, now)
