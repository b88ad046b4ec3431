"""Merges the two sources of one tab's messages, the spool and the live stream, into one: in order and exactly once.

Pure: a state (`Replay`) and functions `(state, input) -> (state, outputs)`; no I/O, no zmq, no clock but `now`
(monotonic seconds) as an argument. websocket.py carries the outputs out. The rules:

R1. A tab begins in `Reading`. Live output is held until the spool has reached the first held message, or has nothing
    more to give; then what was held follows (without what was read) and the tab is `Live`.
R2. Spool and live stream have one order. So a message that was read from the spool and arrives live as well is dropped,
    up to the first live message that was not read: all that follow it are new.
R3. Numbers missing between two records are output that was dropped: the tab is told how much, at that place. The same
    goes for live messages that were let go of for want of room and that the recorder has not recorded.
R4. Each request gets one reply: the kernel's own (live, or SHELL in the spool) or the recorder's (REPLY), the first
    that comes.
R5. A question of input() is asked again once, behind everything that was read, unless its cell has ended by then.
R6. A tab that gets more than Jupyter's rate limit reads what is over the limit from the spool, at that rate. So does
    one whose live output has piled up until the kernel may have dropped some (backlog.py).
R7. After that it is `Live` again only when the spool has reached every live message that has come: a gap may be before
    any of them, and what was dropped is in the spool.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain

from jupyterd.protocol import spool
from jupyterd.protocol.cursors import Cursor
from jupyterd.protocol.spool import Spooled
from jupyterd.server.channels.replay_state import (
    PAUSE_MAX_S,
    PAUSE_S,
    QUIET_AFTER_END_S,
    QUIET_S,
    Deliver,
    Leaving,
    Live,
    Message,
    Output,
    Outputs,
    Overflow,
    PassOn,
    Reached,
    Reading,
    ReadOn,
    ReadSpool,
    Replay,
    SayGap,
    SayKernelEnded,
    Step,
    append,
    is_in,
    remember,
)

UNRECORDED_S, UNRECORDED_IN_DOUBT_S = 1.0, 10.0
"""Held live messages that are not in the spool after so long never will be: the recorder is not there. In doubt there
is one, which may be as late as this server.
"""
HELD_MAX_BYTES, HELD_MAX_MESSAGES = 1 << 23, 1 << 15
"""Above either all that is held is let go of: it will be read from the spool. A kernel's shortest messages have some
500 bytes, so that the number bounds only what no kernel sends.
"""
_DELIMITER = b"<IDS|MSG>"


# --- inputs ---------------------------------------------------------------------------------------------------------


def begin(session: str, cursor: Cursor, others: Iterable[str] = ()) -> Step:
    """A tab has connected that has everything up to `cursor`, and may show the cells of the sessions `others`. Live
    messages may arrive before ReadSpool is carried out.
    """
    answered = frozenset({cursor.replied} - {spool.NOBODY})
    return Replay(spool.tag(session), frozenset(map(spool.tag, others)), answered), (ReadSpool(cursor, paced=False),)


def arrived(state: Replay, channel: str, message: Message) -> Step:
    """A live message came from the kernel. Only iopub is ordered with the spool; replies are checked by R4."""
    if channel != "iopub":
        return _arrived_reply(state, channel, message)
    match state.phase:
        case Live(seen=seen):
            if seen and is_in(spool.digest(header_and_parent(message)[0]), seen):
                return state, ()
            return (replace(state, phase=Live()) if seen else state), (PassOn(channel, (message,)),)
        case Reading(holding=True) as phase:
            return replace(state, phase=_hold(phase, message)), ()
        case _:
            return state, ()


def read(state: Replay, records: Sequence[Spooled]) -> Step:
    """These records follow in the spool; none: this is all so far. When the outputs are carried out, call `written`."""
    phase = state.phase
    if not isinstance(phase, Reading):
        return state, ()
    outputs: list[Output] = []
    held = frozenset(digest for digest, _ in chain(*phase.held))
    seen: set[bytes] = set()
    records = (*phase.rest, *records)
    phase = replace(phase, rest=(), more=bool(records))
    for index, each in enumerate(records):
        if each.digest in held and not phase.awaited and not phase.doubt:
            phase = replace(phase, rest=records[index:])
            break
        if phase.overflow is not None and each.digest == phase.overflow.last:
            phase = replace(phase, overflow=None)
        if phase.following is not None and each.number > phase.following[0]:
            number, before = phase.following
            outputs.append(SayGap(each.number - number, each.before - before, each.frames[2]))
        quiet_s = QUIET_AFTER_END_S if each.kind == spool.END else QUIET_S
        phase = replace(phase, following=(each.number + 1, each.before + each.size), quiet_s=quiet_s)
        seen.add(each.digest)
        state, phase, given = _record(state, phase, each)
        outputs += given
    if not held.isdisjoint(seen):
        left = tuple(each for each in chain(*phase.held) if each[0] not in seen)
        size = sum(_size(message) for _, message in left)
        phase = replace(phase, met=not (phase.doubt and left), held=(left,) if left else (), held_bytes=size)
    return replace(state, phase=replace(phase, seen=remember(phase.seen, frozenset(seen)))), tuple(outputs)


def written(state: Replay, now: float) -> Step:
    """The outputs of `read` have been written to the websocket. Without a ReadOn in the outputs the spool need not be
    read any more.
    """
    phase = state.phase
    if not isinstance(phase, Reading):
        return state, ()
    reached = frozenset(digest for digest in phase.awaited if is_in(digest, phase.seen))
    told: Outputs = (Reached(reached),) if reached else ()
    since = now if phase.more or phase.quiet_since is None else phase.quiet_since
    phase = replace(phase, awaited=phase.awaited - reached, quiet_since=since)
    # What was held may have been let go of while the outputs were written: `rest` is then to be merged after all.
    rest_is_held = bool(phase.rest) and any(digest == phase.rest[0].digest for digest, _ in chain(*phase.held))
    trusted = phase.met and not (phase.doubt and phase.held)
    if not phase.awaited and (trusted or rest_is_held):
        state, outputs = _go_live(state, replace(phase, overflow=None))
    elif phase.more:
        state, outputs = replace(state, phase=replace(phase, pause_s=PAUSE_S)), (ReadOn(0.0),)
    elif now - since > (_unrecorded_s(phase) if phase.held else phase.quiet_s):
        state, outputs = _go_live(state, phase)
    else:
        later = replace(phase, holding=True, pause_s=min(phase.pause_s * 2, PAUSE_MAX_S))
        state, outputs = replace(state, phase=later), (ReadOn(phase.pause_s),)
    return state, told + outputs


def fell_behind(state: Replay, cursor: Cursor) -> Step:
    """A live message was not written, for one of the reasons of R6; `cursor`: the last one that was."""
    if not isinstance(state.phase, Live):
        return state, ()
    reading = Reading(holding=False, doubt=True, earlier=state.phase.seen)
    return replace(state, phase=reading), (ReadSpool(cursor, paced=True),)


def wait_for(state: Replay, digest: bytes, cursor: Cursor) -> Step:
    """Go on reading up to a record that comes from the spool alone; `cursor`: the last message that was written."""
    match state.phase:
        case Reading() as phase:
            return replace(state, phase=replace(phase, awaited=phase.awaited | {digest})), ()
        case Live(seen=seen):
            reading = Reading(awaited=frozenset({digest}), earlier=seen)
            return replace(state, phase=reading), (ReadSpool(cursor, paced=False),)
        case Leaving():
            return state, (Reached(frozenset({digest})),)


def give_up(state: Replay) -> Step:
    """The spool cannot be read any more: what was read of it and what is held is all that there is."""
    state, merged = read(state, ())
    if not isinstance(state.phase, Reading):
        return state, ()
    state, outputs = _go_live(state, state.phase)
    return state, merged + outputs


def leave(state: Replay) -> Step:
    """The server ends."""
    awaited = state.phase.awaited if isinstance(state.phase, Reading) else frozenset()
    return replace(state, phase=Leaving()), ((Reached(awaited),) if awaited else ())


# --- parts ----------------------------------------------------------------------------------------------------------


def _arrived_reply(state: Replay, channel: str, message: Message) -> Step:
    header, parent = header_and_parent(message)
    if spool.message_type(header) != b"execute_reply":
        return state, (PassOn(channel, (message,)),)
    request = spool.tag(spool.message_id(parent))
    if request in state.answered:
        return state, ()
    return _answer(state, request), (PassOn(channel, (message,), request),)


def _answer(state: Replay, request: bytes) -> Replay:
    return replace(state, answered=state.answered | {request})


def _hold(phase: Reading, message: Message) -> Reading:
    header, parent = header_and_parent(message)
    digest = spool.digest(header)
    if is_in(digest, phase.earlier):
        return phase
    if is_in(digest, phase.seen):
        return phase if phase.doubt else replace(phase, met=True)
    size = phase.held_bytes + _size(message)
    count = sum(map(len, phase.held)) + 1
    if size <= HELD_MAX_BYTES and count <= HELD_MAX_MESSAGES:
        return replace(phase, held=append(phase.held, digest, message), held_bytes=size)
    first = header_and_parent(phase.held[0][0][1])[1] if phase.held else parent
    if phase.overflow is not None:
        count, size, first = phase.overflow.count + count, phase.overflow.size_bytes + size, phase.overflow.parent
    return replace(phase, held=(), held_bytes=0, met=False, overflow=Overflow(count, size, first, digest))


def _unrecorded_s(phase: Reading) -> float:
    return UNRECORDED_IN_DOUBT_S if phase.doubt else UNRECORDED_S


def _size(message: Message) -> int:
    return sum(map(len, message))


def _record(state: Replay, phase: Reading, record: Spooled) -> tuple[Replay, Reading, Outputs]:
    header = record.frames[1]
    match record.kind:
        case spool.NOTE:
            return state, phase, (Deliver("iopub", record.frames, header),)
        case spool.END:
            return state, replace(phase, question=None), (SayKernelEnded(record.digest, header),)
        case spool.IOPUB:
            if phase.question is not None and _ends_cell_of(phase.question, record):
                phase = replace(phase, question=None)
            return state, phase, (Deliver("iopub", record.frames, header),)
        case spool.STDIN if record.tag == state.session or record.tag in state.others:
            return state, replace(phase, question=record), ()
        case spool.REPLY | spool.SHELL if record.tag == state.session:
            state, outputs = _recorded_reply(state, record)
            return state, phase, outputs
    return state, phase, ()


def _recorded_reply(state: Replay, record: Spooled) -> Step:
    request = spool.tag(spool.message_id(record.frames[2]))
    if request in state.answered:
        return state, ()
    header = record.frames[1]
    if spool.message_type(header) != b"execute_reply":
        return state, (Deliver("shell", record.frames, header),)
    return _answer(state, request), (Deliver("shell", record.frames, header, request),)


def _go_live(state: Replay, phase: Reading) -> Step:
    outputs: list[Output] = []
    if phase.question is not None:
        outputs.append(Deliver("stdin", phase.question.frames))
    if phase.awaited:
        outputs.append(Reached(phase.awaited))
    if phase.overflow is not None:
        outputs.append(SayGap(phase.overflow.count, phase.overflow.size_bytes, phase.overflow.parent, recorded=False))
    if phase.held:
        outputs.append(PassOn("iopub", tuple(message for _, message in chain(*phase.held))))
    seen = phase.earlier
    for each in phase.seen:
        seen = remember(seen, each)
    return replace(state, phase=Live(seen)), tuple(outputs)


def header_and_parent(message: Message) -> tuple[bytes, bytes]:
    """The two frames of a message as it comes from a kernel's socket. ValueError: it is none."""
    at = message.index(_DELIMITER)
    return message[at + 2], message[at + 3]


def _ends_cell_of(question: Spooled, status: Spooled) -> bool:
    return (
        spool.message_type(status.frames[1]) == b"status"
        and b'"idle"' in status.frames[4]
        and spool.message_id(status.frames[2]) == spool.message_id(question.frames[2])
    )
