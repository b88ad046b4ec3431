"""Health conditions of the GPUs, computed from the last frame: for each a sentence and what to type. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from jupyterd.core import gpu_log, health, xids
from jupyterd.core.health import ActiveCondition, Condition
from jupyterd.protocol import gpu_text
from jupyterd.protocol.gpu_frames import Frame, Gpu
from jupyterd.protocol.gpu_text import Holder, holders, named
from jupyterd.protocol.value import value
from jupyterd.text import GIB, plural, size

FULL_SHARE = 0.95
"""Share of the memory in use that counts as full: above it, the next large array fails."""
RELAXED_SHARE = 0.90
"""It counts as full until it falls below this: memory that varies around one mark is one problem, not many."""
HELD_BYTES = GIB
"""A kernel that holds less than this on an idle GPU is not reported: a CUDA context alone is half of it."""
_SLOWED = {
    "thermal": "heat",
    "power-brake": "the power supply",
    "hardware": "its own protection (heat or power)",
}
"""Throttle reasons that are reported. A power cap is not: it is the normal state of a GPU at full load."""
_RECOVERY = {
    "reset": ("needs a reset", xids.RESET.advice),
    "bus-reset": ("needs a reset", xids.RESET.advice),
    "drain-and-reset": ("needs a reset when its programs have ended", xids.RESET.advice),
    "drain": ("should get no new work", "nvidia-smi -q"),
    "reboot": ("needs a reboot of the machine", "sudo reboot"),
    "system-reboot": ("needs a reboot of the machine", "sudo reboot"),
    "imex": ("needs its memory domain (IMEX) restarted", "sudo systemctl restart nvidia-imex"),
}


@value
class Error:
    """An Xid error that is shown until `until` (monotonic)."""

    uuid: str
    code: int
    text: str
    until: float


def remember(errors: Iterable[Error], frame: Frame, now: float) -> tuple[Error, ...]:
    """The errors plus those of `frame`, minus those that are over. A repeated error stays one, shown for longer."""
    kept = {(each.uuid, each.code): each for each in errors if each.until > now}
    for each in frame.gpus:
        for xid in each.xids:
            says, group = xids.meaning(xid.code)
            who = next((h.label for h in holders(each.processes) if xid.pid is not None and xid.pid in h.pids), None)
            by = f" in {who}" if who else f" in process {xid.pid}" if xid.pid is not None else ""
            text = f"{gpu_text.title(each)}: error Xid {xid.code}{by}: {says}"
            old = kept.get((each.uuid, xid.code))
            kept[each.uuid, xid.code] = Error(
                each.uuid, xid.code, text if old is None else old.text, now + group.shown_s
            )
    return tuple(kept.values())


def conditions(
    frame: Frame, errors: Iterable[Error], held: Iterable[ActiveCondition], now: float
) -> Iterator[Condition]:
    """Every GPU problem at `now` (monotonic). `held`: the conditions before, for the hysteresis of a full memory."""
    if frame.trouble is not None:
        yield Condition(health.GPU, "driver", frame.trouble, frame.advice or "nvidia-smi")
    if frame.foreseen is not None:
        yield Condition(health.GPU_DRIVER_CHANGED, "driver", frame.foreseen, "reboot when convenient: sudo reboot")
    for error in errors:
        if now < error.until:
            _, group = xids.meaning(error.code)
            kind = health.GPU_ERROR if group.severity == "error" else health.GPU_XID
            yield Condition(kind, f"{error.uuid} {error.code}", error.text, group.advice, code="gpu-xid")
    full = {each.condition.about for each in held if each.condition.kind == health.GPU_FULL}
    for each in frame.gpus:
        yield from _one(each, full=each.uuid in full)


def _one(each: Gpu, *, full: bool) -> Iterator[Condition]:
    title = gpu_text.title(each)
    if each.trouble is not None:
        yield Condition(health.GPU, each.uuid, f"{title}: {each.trouble}", "nvidia-smi -q")
        return
    slowed = [_SLOWED[reason] for reason in each.throttle or () if reason in _SLOWED]
    if slowed:
        celsius = "" if each.temperature_c is None else f" ({each.temperature_c} °C)"
        text = f"{title} is slowed down by {' and '.join(slowed)}{celsius}"
        yield Condition(health.GPU_SLOWED, each.uuid, text, "nvidia-smi -q -d PERFORMANCE,TEMPERATURE,POWER")
    who = holders(each.processes)
    yield from _memory(each, title, who, full=full)
    ours = [holder for holder in who if holder.kernel is not None and (holder.memory_bytes or 0) >= HELD_BYTES]
    if ours and gpu_log.idle(each):
        text = f"{title} is idle, but its memory is held by {named(ours)}"
        advice = "shut that kernel down if its variables are no longer needed: jupyterd gpu"
        yield Condition(health.GPU_HELD, each.uuid, text, advice)
    if each.remap_failed:
        text = f"{title}: bad rows of its memory can no longer be replaced"
        yield Condition(health.GPU_ERROR, f"{each.uuid} rows", text, xids.REPLACE.advice, code="gpu-memory-worn")
    elif each.remap_pending:
        text = f"{title}: a bad row of its memory will be replaced at the next reset"
        yield Condition(health.GPU_XID, f"{each.uuid} rows", text, xids.MEMORY.advice, code="gpu-memory-worn")
    if each.ecc_uncorrected:
        text = f"{title}: {plural(each.ecc_uncorrected, 'error')} of its memory could not be corrected"
        yield Condition(health.GPU_ERROR, f"{each.uuid} ecc", text, xids.REPLACE.advice, code="gpu-memory-errors")
    if each.recovery in _RECOVERY:
        what, advice = _RECOVERY[each.recovery]
        yield Condition(health.GPU_ERROR, f"{each.uuid} recovery", f"{title} {what}", advice, code="gpu-recovery")


def _memory(each: Gpu, title: str, who: tuple[Holder, ...], *, full: bool) -> Iterator[Condition]:
    if each.memory_used_bytes is None or not each.memory_total_bytes:
        return
    if each.memory_used_bytes >= (RELAXED_SHARE if full else FULL_SHARE) * each.memory_total_bytes:
        left = size(each.memory_total_bytes - each.memory_used_bytes)
        by = f"; held by {named(who)}" if who else ""
        text = f"{title}: its memory is nearly full ({left} left{by})"
        yield Condition(health.GPU_FULL, each.uuid, text, "shut down a kernel that is no longer needed: jupyterd gpu")
