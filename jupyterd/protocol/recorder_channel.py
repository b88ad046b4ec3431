"""What server and recorder say to each other, over the socket spool.SOCKET: one JSON object a line.

Who stands at a tab's place on the shell and stdin channels of its kernel: the server while the tab is connected, the
recorder while it is away. The server's end of the connection closes when the server ends, however it ends.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

LINE_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Hello:
    """Server, first of all: which interpreter it runs in (each version has its own), the bound of each spool, and every
    tab that is connected.
    """

    python: str
    max_bytes: int
    tabs: tuple[tuple[str, str], ...] = field(default=())
    """(kernel id, session id)."""


@dataclass(frozen=True, slots=True)
class Back:
    """Server: this tab is about to connect. Answered by Yours."""

    kernel: str
    session: str


@dataclass(frozen=True, slots=True)
class Away:
    """Server: this tab is connected no more."""

    kernel: str
    session: str


@dataclass(frozen=True, slots=True)
class Yours:
    """Recorder: the tab's place is free. `stood`: the recorder stood there until now."""

    kernel: str
    session: str
    stood: bool


@dataclass(frozen=True, slots=True)
class Over:
    """Server: no cell of this kernel runs any more; `why` is a sentence for those that seem to. With `before` (a date,
    as of spool.date) only for those that began earlier, and the kernel lives; without, it has ended. Answered by Told.
    """

    kernel: str
    why: str
    before: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """Recorder: the spool says so now; `digest` (hexadecimal) is the last record about it, "" where there is none."""

    kernel: str
    digest: str


ToRecorder = Hello | Back | Away | Over
FromRecorder = Yours | Told
_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in (Hello, Back, Away, Over, Yours, Told)}


def encode(message: ToRecorder | FromRecorder) -> bytes:
    """One line, newline included."""
    return json.dumps({type(message).__name__: asdict(message)}).encode() + b"\n"


def decode(line: bytes) -> ToRecorder | FromRecorder:
    """One line back; ValueError names what it does not know."""
    try:
        ((name, fields),) = json.loads(line).items()
        if "tabs" in fields:
            fields["tabs"] = tuple((str(kernel), str(session)) for kernel, session in fields["tabs"])
        message: ToRecorder | FromRecorder = _KINDS[name](**fields)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not a message: {line[:80]!r}") from error
    return message
