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
    """Tell the cell (`parent`: its header frame, JSON) that so many messages of output are missing here."""

    count: int
    size_bytes: int
    parent: bytes


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


@dataclass(frozen=True, slots=True)
class Reading:
    """The spool is being read."""

    holding: bool = True
    """False: live output is let go of, because the spool is far behind it."""
    held: tuple[tuple[bytes, Message], ...] = ()
    """(digest, live message), in order."""
    held_bytes: int = 0
    seen: frozenset[bytes] = frozenset()
    """Digests of all records read since the spool was opened."""
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

    seen: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class Leaving:
    """The server ends: no more output is written, so that all that was written can be acknowledged."""


@dataclass(frozen=True, slots=True)
class Replay:
    """One connection of one tab."""

    session: bytes
    """spool.tag of its session id."""
    answered: frozenset[bytes] = frozenset()
    """spool.tag of each request whose execute_reply was delivered."""
    phase: Reading | Live | Leaving = Reading()


Step = tuple[Replay, Outputs]
