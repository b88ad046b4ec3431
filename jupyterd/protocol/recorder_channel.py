"""The recorder's arguments, and what it and the server say to each other over the socket spool.SOCKET: a JSON object on
each line.

They agree who uses a tab's ZMQ identity on the shell and stdin channels of its kernel: the server while the tab is
connected, the recorder while it is not. The connection closes when the server ends, however it ends.

A server and a running recorder may be of different versions (until no cell runs: HandOver in recorder/loop.py). So the
names and fields of messages stay as they are, and every version reads the positional arguments.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, field
from pathlib import Path
from typing import cast

from jupyterd.protocol import codec, documents
from jupyterd.protocol.spool import MAX_BYTES
from jupyterd.protocol.value import value

LINE_MAX = 1 << 20
QUESTION_MOST = 1 << 15
"""Bytes of the frames of a question that is passed on at once."""
NOT_KEPT_MOST = 100


@value
class RecorderPaths:
    """The arguments of `python -m jupyterd.recorder`: directories. All that can change comes with Hello."""

    sockets: Path
    """Of the kernels' connection files and sockets, and the recorder's own."""
    spool: Path
    records: Path
    """The launcher's registry, for the server's lock."""
    max_bytes: int = MAX_BYTES
    """Bound of each kernel's spool, for a recorder to which no server has ever said Hello."""

    def encode(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self), default=str)

    def positional(self) -> tuple[str, ...]:
        """As recorders read them that know no JSON; the fourth is the bound of a spool until a server says Hello."""
        return str(self.sockets), str(self.spool), str(self.records), str(self.max_bytes)

    @classmethod
    def decode(cls, arguments: Sequence[str]) -> RecorderPaths:
        """From either form. ValueError for anything else."""
        try:
            if len(arguments) == 1:
                given = documents.document(arguments[0])
                max_bytes = int(given.pop("max_bytes", MAX_BYTES))
                return cls(**{name: Path(text) for name, text in given.items()}, max_bytes=max_bytes)
            sockets, directory, records, max_bytes = (*arguments[:3], int(arguments[3]))
            return cls(Path(sockets), Path(directory), Path(records), max_bytes)
        except (TypeError, AttributeError, ValueError, IndexError) as error:
            raise ValueError(f"not the arguments of a recorder: {list(arguments)}") from error


@value
class Hello:
    """Server, first: its interpreter (each version has its own), the bound of each kernel's spool in bytes, and every
    tab that is connected.
    """

    python: str
    max_bytes: int
    tabs: tuple[tuple[str, str], ...] = field(default=())
    """(kernel id, session id)."""


@value
class Back:
    """Server: this tab is about to connect; release its identity. Answered by Yours."""

    kernel: str
    session: str


@value
class Away:
    """Server: this tab is no longer connected; hold its identity."""

    kernel: str
    session: str


@value
class Yours:
    """Recorder: the tab's identity is free. `stood`: the recorder held it until now."""

    kernel: str
    session: str
    stood: bool


@value
class Over:
    """Server: end the cells of this kernel in its spool, each with the sentence `why`. Answered by Told.

    With `before` (a date, as of spool.date) only cells that began earlier, and the kernel lives; "": all of them,
    because the kernel's process has ended.
    """

    kernel: str
    why: str
    before: str = ""


@value
class Told:
    """Recorder: the cells have ended in the spool; `digest` (hexadecimal) is that of the last record, "" if none was
    written.
    """

    kernel: str
    digest: str


@value
class ReportNotKept:
    """Server, after Hello and every 20 s: send NotKept now, and at each change, and Asked. Earlier versions of the
    recorder ignore it.
    """


@value
class NotKept:
    """Recorder: the kernels whose output is not kept at present, at most NOT_KEPT_MOST of them. Only to servers that
    have sent ReportNotKept: others would end the conversation.
    """

    kernels: tuple[tuple[str, str], ...]
    """(kernel id, why, one phrase)."""


@value
class Asked:
    """Recorder: the kernel has asked an absent tab a question of input(). Only to servers that have sent ReportNotKept;
    a question of more than QUESTION_MOST bytes is in the spool only.
    """

    kernel: str
    frames: tuple[str, ...]
    """As of Spooled, base64."""


ToRecorder = Hello | Back | Away | Over | ReportNotKept
FromRecorder = Yours | Told | NotKept | Asked
_KINDS = codec.by_name(Hello, Back, Away, Over, ReportNotKept, Yours, Told, NotKept, Asked)


def encode(message: ToRecorder | FromRecorder) -> bytes:
    """One line, newline included."""
    return codec.encode(message)


def decode(line: bytes) -> ToRecorder | FromRecorder:
    """The message of one line. ValueError: it is none of this version."""
    return cast("ToRecorder | FromRecorder", codec.decode(line, _KINDS))
