"""What replay.py computes with: the state of one connection, and the outputs that websocket.py carries out."""

from __future__ import annotations

from dataclasses import dataclass

from jupyterd.protocol.cursors import Cursor
from jupyterd.protocol.spool import Spooled

QUIET_S = 2.0
"""A kernel that says nothing for so long has processed our subscription: live messages are all that follows."""
QUIET_AFTER_END_S = 30.0
"""The same after its process ended: until it has been started again."""
PAUSE_S, PAUSE_MAX_S = 0.01, 0.2
"""Between two looks at a spool that had nothing new, doubled each time."""

Message = list[bytes]
"""Frames of a kernel's socket: identities, delimiter, signature, header, parent, metadata, content, buffers."""


# --- outputs --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReadSpool:
    """Read the spool from behind `cursor`, and give all of it to `read`. `paced`: no faster than the rate limit."""

    cursor: Cursor
    paced: bool


@dataclass(frozen=True, slots=True)
class ReadOn:
    """Read what follows in the spool, after so many seconds."""

    after_s: float


@dataclass(frozen=True, slots=True)
class Deliver:
    """Write this record to the websocket. `frames` begin with the signature; b"": sign it (the recorder has no key)."""

    channel: str
    frames: tuple[bytes, ...]
    header: bytes = b""
    """Once written, the cursor stands behind this header; b"": the cursor stays."""
    replied: bytes | None = None
    """Tag of the request whose execute_reply this is."""


@dataclass(frozen=True, slots=True)
class PassOn:
    """Write these live messages, in order. If one is over the rate limit, call `fell_behind` and stop: it and the rest
    are in the spool.
    """

    channel: str
    messages: tuple[Message, ...]
    replied: bytes | None = None


@dataclass(frozen=True, slots=True)
class SayGap:
    """Tell the cell (`parent`: its header frame, JSON) that so many messages of output are missing here. `recorded`
    False: they came live, there was no room to hold them, and the recorder has not recorded them.
    """

    count: int
    size_bytes: int
    parent: bytes
    recorded: bool = True


@dataclass(frozen=True, slots=True)
class SayKernelEnded:
    """The kernel's process ended here; `digest` identifies this end."""

    digest: bytes
    header: bytes


@dataclass(frozen=True, slots=True)
class Reached:
    """What `wait_for` asked for was written, or will never come."""

    digests: frozenset[bytes]


Output = ReadSpool | ReadOn | Deliver | PassOn | SayGap | SayKernelEnded | Reached
Outputs = tuple[Output, ...]


# --- state ----------------------------------------------------------------------------------------------------------


Seen = tuple[frozenset[bytes], ...]
"""Digests of messages, the oldest first, in parts: one more costs a copy of the last part. `remember` bounds them."""
Held = tuple[tuple[tuple[bytes, Message], ...], ...]
"""(digest, live message), in order, in such parts too."""
SEEN_MIN, _PART = 1 << 14, 1 << 9


def append(held: Held, digest: bytes, message: Message) -> Held:
    """Add one message, the newest."""
    if held and len(held[-1]) < _PART:
        return *held[:-1], (*held[-1], (digest, message))
    return *held, ((digest, message),)


def remember(seen: Seen, digests: frozenset[bytes]) -> Seen:
    """Add `digests`, the newest. The SEEN_MIN newest are kept, and at most _PART or one read of the spool more. That
    is enough: what was read and has not arrived live waits in the queues of kernel and server, of 1000 messages each
    (libzmq's default), and in the socket between them.
    """
    if not digests:
        return seen
    seen = (*seen[:-1], seen[-1] | digests) if seen and len(seen[-1]) < _PART else (*seen, digests)
    surplus = sum(map(len, seen)) - SEEN_MIN
    while len(seen[0]) <= surplus:
        surplus -= len(seen[0])
        seen = seen[1:]
    return seen


def is_in(digest: bytes, seen: Seen) -> bool:
    """Whether it is one of them."""
    return any(digest in each for each in seen)


@dataclass(frozen=True, slots=True)
class Overflow:
    """Live messages that were let go of because there was no room to hold them."""

    count: int
    size_bytes: int
    parent: bytes
    """Header frame of the request to which the first belongs."""
    last: bytes
    """Digest of the last: once the spool has reached it, none is missing."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The spool is being read."""

    holding: bool = True
    """False: live output is let go of, because the spool is far behind it."""
    doubt: bool = False
    """Live messages may be missing: only those that the spool has reached are trusted (R7)."""
    held: Held = ()
    held_bytes: int = 0
    met: bool = False
    """A held message has been read from the spool, or one that was read has arrived live."""
    overflow: Overflow | None = None
    """Messages that were held and let go of, and that the spool has not reached yet."""
    seen: Seen = ()
    """Records read since the spool was opened."""
    earlier: Seen = ()
    """Messages that the tab had before the spool was opened, and that may still arrive live (R2)."""
    awaited: frozenset[bytes] = frozenset()
    """Records without which the tab may not go live."""
    following: tuple[int, int] | None = None
    """`number` and `before` of the next record if nothing is missing; None before the first."""
    question: Spooled | None = None
    """A question of input() that nobody has answered."""
    rest: tuple[Spooled, ...] = ()
    """Not merged, because the spool has reached a live message: from there on the live ones will do."""
    more: bool = False
    """The last read brought something."""
    quiet_since: float | None = None
    quiet_s: float = QUIET_S
    pause_s: float = PAUSE_S


@dataclass(frozen=True, slots=True)
class Live:
    """Live messages are all that follows. `seen`: those of them that were read from the spool already (R2)."""

    seen: Seen = ()


@dataclass(frozen=True, slots=True)
class Leaving:
    """The server ends: no more output is written, so that all that was written can be acknowledged."""


@dataclass(frozen=True, slots=True)
class Replay:
    """One connection of one tab."""

    session: bytes
    """spool.tag of its session id."""
    others: frozenset[bytes] = frozenset()
    """spool.tag of the sessions whose cells this page may show: their questions are shown to it too."""
    answered: frozenset[bytes] = frozenset()
    """spool.tag of each request whose execute_reply was delivered."""
    phase: Reading | Live | Leaving = Reading()


Step = tuple[Replay, Outputs]
