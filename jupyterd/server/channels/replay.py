"""Merges the two sources of one tab's messages, the spool and the live stream, into one: in order and exactly once.

Pure: a state (`Replay`) and functions `(state, input) -> (state, outputs)`; no I/O, no zmq, no clock but `now`
(monotonic seconds) as an argument. websocket.py carries the outputs out. The rules:

R1. A tab begins in `Reading`. Live output is held until the spool has reached the first held message, or has nothing
    more to give; then what was held follows (without what the spool had) and the tab is `Live`.
R2. Spool and live stream have one order. So a message that was read from the spool and arrives live as well is dropped,
    up to the first live message that was not read: all that follow it are new.
R3. Numbers missing between two records are output that was dropped: the tab is told how much, at that place.
R4. Each request gets one reply: the kernel's own (live, or SHELL in the spool) or the recorder's (REPLY), the first
    that comes.
R5. A question of input() is asked again once, behind everything that was read, unless its cell has ended by then.
R6. A tab that gets more than Jupyter's rate limit reads what is over the limit from the spool, at that rate.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

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
    PassOn,
    Reached,
    Reading,
    ReadOn,
    ReadSpool,
    Replay,
    SayGap,
    SayKernelEnded,
    Step,
)

UNRECORDED_S = 1.0
"""Held live messages that are not in the spool after so long never will be: the recorder is not there."""
HELD_MAX_BYTES, HELD_MAX_MESSAGES = 1 << 23, 4096
"""Above either all that is held is let go of: it will be read from the spool."""
_DELIMITER = b"<IDS|MSG>"


# --- inputs ---------------------------------------------------------------------------------------------------------


def begin(session: str, cursor: Cursor) -> Step:
    """A tab has connected that has everything up to `cursor`. Live messages may arrive before ReadSpool is carried
    out.
    """
    answered = frozenset({cursor.replied} - {spool.NOBODY})
    return Replay(spool.tag(session), answered), (ReadSpool(cursor, paced=False),)


def arrived(state: Replay, channel: str, message: Message) -> Step:
    """A live message came from the kernel. Only iopub is ordered with the spool; replies are checked by R4."""
    if channel != "iopub":
        return _arrived_reply(state, channel, message)
    match state.phase:
        case Live(seen=seen):
            if seen and spool.digest(header_and_parent(message)[0]) in seen:
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
    held = frozenset(digest for digest, _ in phase.held)
    seen: set[bytes] = set()
    records = (*phase.rest, *records)
    phase = replace(phase, rest=(), more=bool(records))
    for index, each in enumerate(records):
        if each.digest in held and not phase.awaited:
            phase = replace(phase, rest=records[index:])
            break
        if phase.following is not None and each.number > phase.following[0]:
            number, before = phase.following
            outputs.append(SayGap(each.number - number, each.before - before, each.frames[2]))
        quiet_s = QUIET_AFTER_END_S if each.kind == spool.END else QUIET_S
        phase = replace(phase, following=(each.number + 1, each.before + each.size), quiet_s=quiet_s)
        seen.add(each.digest)
        state, phase, given = _record(state, phase, each)
        outputs += given
    return replace(state, phase=replace(phase, seen=phase.seen | seen)), tuple(outputs)


def written(state: Replay, now: float) -> Step:
    """The outputs of `read` have been written to the websocket. Without a ReadOn in the outputs the spool need not be
    read any more.
    """
    phase = state.phase
    if not isinstance(phase, Reading):
        return state, ()
    reached = phase.awaited & phase.seen
    told: Outputs = (Reached(reached),) if reached else ()
    since = now if phase.more or phase.quiet_since is None else phase.quiet_since
    phase = replace(phase, awaited=phase.awaited - reached, quiet_since=since)
    if not phase.awaited and (phase.rest or any(digest in phase.seen for digest, _ in phase.held)):
        state, outputs = _go_live(state, phase)
    elif phase.more:
        state, outputs = replace(state, phase=replace(phase, pause_s=PAUSE_S)), (ReadOn(0.0),)
    elif now - since > (UNRECORDED_S if phase.held else phase.quiet_s):
        state, outputs = _go_live(state, phase)
    else:
        later = replace(phase, holding=True, pause_s=min(phase.pause_s * 2, PAUSE_MAX_S))
        state, outputs = replace(state, phase=later), (ReadOn(phase.pause_s),)
    return state, told + outputs


def fell_behind(state: Replay, cursor: Cursor) -> Step:
    """A live message was over the rate limit and was not written; `cursor`: the last one that was (R6)."""
    if not isinstance(state.phase, Live):
        return state, ()
    return replace(state, phase=Reading(holding=False)), (ReadSpool(cursor, paced=True),)


def wait_for(state: Replay, digest: bytes, cursor: Cursor) -> Step:
    """Go on reading up to a record that comes from the spool alone; `cursor`: the last message that was written."""
    match state.phase:
        case Reading() as phase:
            return replace(state, phase=replace(phase, awaited=phase.awaited | {digest})), ()
        case Live():
            return replace(state, phase=Reading(awaited=frozenset({digest}))), (ReadSpool(cursor, paced=False),)
        case Leaving():
            return state, (Reached(frozenset({digest})),)


def give_up(state: Replay) -> Step:
    """The spool cannot be read: what is held is all that there is."""
    return _go_live(state, state.phase) if isinstance(state.phase, Reading) else (state, ())


def leave(state: Replay) -> Step:
    """The server ends."""
    awaited = state.phase.awaited if isinstance(state.phase, Reading) else frozenset()
    return replace(state, phase=Leaving()), ((Reached(awaited),) if awaited else ())


# --- parts ----------------------------------------------------------------------------------------------------------


def _arrived_reply(state: Replay, channel: str, message: Message) -> Step:
    header, parent = header_and_parent(message)
    if spool.message_type(header) != b"execute_reply":
        return state, (PassOn(channel, (message,)),)
    request = spool.tag(id_of(parent))
    if request in state.answered:
        return state, ()
    return _answer(state, request), (PassOn(channel, (message,), request),)


def _answer(state: Replay, request: bytes) -> Replay:
    return replace(state, answered=state.answered | {request})


def _hold(phase: Reading, message: Message) -> Reading:
    size = phase.held_bytes + sum(map(len, message))
    if size > HELD_MAX_BYTES or len(phase.held) >= HELD_MAX_MESSAGES:
        return replace(phase, held=(), held_bytes=0)
    digest = spool.digest(header_and_parent(message)[0])
    return replace(phase, held=(*phase.held, (digest, message)), held_bytes=size)


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
        case spool.STDIN if record.tag == state.session:
            return state, replace(phase, question=record), ()
        case spool.REPLY | spool.SHELL if record.tag == state.session:
            state, outputs = _recorded_reply(state, record)
            return state, phase, outputs
    return state, phase, ()


def _recorded_reply(state: Replay, record: Spooled) -> Step:
    request = spool.tag(id_of(record.frames[2]))
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
    if held := tuple(message for digest, message in phase.held if digest not in phase.seen):
        outputs.append(PassOn("iopub", held))
    return replace(state, phase=Live(phase.seen)), tuple(outputs)


def header_and_parent(message: Message) -> tuple[bytes, bytes]:
    """The two frames of a message as it comes from a kernel's socket. ValueError: it is none."""
    at = message.index(_DELIMITER)
    return message[at + 2], message[at + 3]


def id_of(parent: bytes) -> str:
    """The msg_id in a header frame; "" where there is none."""
    try:
        return str(json.loads(parent).get("msg_id", ""))
    except (ValueError, AttributeError):
        return ""


def _ends_cell_of(question: Spooled, status: Spooled) -> bool:
    return (
        spool.message_type(status.frames[1]) == b"status"
        and b'"idle"' in status.frames[4]
        and id_of(status.frames[2]) == id_of(question.frames[2])
    )
