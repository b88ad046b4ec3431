"""The spool of one kernel: all that it said, as numbered records in files that only grow; the recorder writes them,
the server reads them. Places: SPOOL/KERNEL_ID/NUMBER.log, named by its first record, and SPOOL/KERNEL_ID/marks.

A number that is missing between two records is a message that was dropped.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from jupyterd.protocol.value import value

try:
    from _blake2 import blake2b  # what hashlib would give, without OpenSSL: 3.7 MB of the recorder's memory
except ImportError:
    from hashlib import blake2b

MAX_BYTES = 64 << 20
"""Bound of one kernel's spool, by default."""
SOCKET = "recorder"
"""In the directory of the kernels' sockets: where the recorder listens."""
LOCK = "recorder.lock"
"""In the spool directory: held (flock) by its one recorder; its text is {"pid", "started", "boot"}."""
BOUND = "max_bytes"
"""In the spool directory: the bound of each kernel's spool that a server set last, bytes, as decimal digits."""
LOG = "recorder.log"
"""In the spool directory: standard error of a detached recorder."""
MARKS = "marks"

IOPUB, REPLY, SHELL, STDIN, NOTE, END = range(6)
"""Kinds of records: from the iopub channel; an execute_reply made from an idle status (without a signature); what the
recorder took on the shell and the stdin channel in the place of an absent tab; a message of its own as if from iopub
(without a signature); and where the kernel's process ended."""

_MAGIC = 0x6A64
_HEAD = struct.Struct("<HBxHxxIQQ16s8s")
"""Magic, kind, count of frames, bytes in all, number, bytes of all records before, digest, tag."""
_DIGEST_AT = 28
_LENGTH = struct.Struct("<I")
_DATE = re.compile(rb'"date": ?"([^"]{1,32})')
_TYPE = re.compile(rb'"msg_type": ?"([^"]+)"')
NOBODY = bytes(8)


@value
class Spooled:
    """One message: `frames` are signature, header, parent header, metadata, content, buffers."""

    kind: int
    number: int
    before: int
    """Bytes of all records before this one, dropped ones included."""
    digest: bytes
    tag: bytes
    """Of the tab for which a REPLY, SHELL or STDIN is; NOBODY with IOPUB."""
    frames: tuple[bytes, ...]
    size: int


def digest(header: bytes) -> bytes:
    """Identifies a message: 16 bytes, a hash of its header frame, which has its id and date."""
    return bytes(blake2b(header, digest_size=16).digest())


def tag(session: str) -> bytes:
    """Identifies a tab (session id) or a request (msg_id): 8 bytes, a hash of the text."""
    return bytes(blake2b(session.encode(), digest_size=8).digest())


def date(header: bytes) -> bytes:
    """The date in a header frame, without its Z so that dates can be compared as bytes; b"" when there is none."""
    found = _DATE.search(header)
    return found[1].rstrip(b"Z") if found else b""


def message_type(header: bytes) -> bytes:
    """The msg_type in a header frame, without parsing it."""
    found = _TYPE.search(header)
    return found[1] if found else b""


def pack(kind: int, number: int, before: int, whose: bytes, frames: Sequence[bytes]) -> bytes:
    """One record as bytes. `frames`: signature, header, parent header, metadata, content, buffers."""
    size = _HEAD.size + sum(_LENGTH.size + len(each) for each in frames)
    parts = [_HEAD.pack(_MAGIC, kind, len(frames), size, number, before, digest(frames[1]), whose)]
    for each in frames:
        parts += (_LENGTH.pack(len(each)), each)
    return b"".join(parts)


def heads(data: bytes | memoryview, offset: int = 0) -> Iterator[tuple[int, int]]:
    """(offset, size) of each whole record; one that is torn, by a kill in the middle of a write, ends it."""
    end = len(data)
    while offset + _HEAD.size <= end:
        magic, _, _, size, *_ = _HEAD.unpack_from(data, offset)
        if magic != _MAGIC or size < _HEAD.size or offset + size > end:
            return
        yield offset, size
        offset += size


def unpack(data: bytes | memoryview, offset: int) -> Spooled:
    """The record at this offset, which comes from `heads`."""
    _, kind, count, size, number, before, known, whose = _HEAD.unpack_from(data, offset)
    at, frames = offset + _HEAD.size, []
    for _ in range(count):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        frames.append(bytes(data[at : at + length]))
        at += length
    return Spooled(kind, number, before, known, whose, tuple(frames), size)


def records(data: bytes | memoryview, offset: int = 0) -> Iterator[Spooled]:
    """All whole records from `offset` on."""
    return (unpack(data, each) for each, _ in heads(data, offset))


def find(data: bytes, known: bytes) -> int | None:
    """The offset behind the last record with this digest; None if there is none."""
    at = data.rfind(known)
    while at >= 0:
        begin = at - _DIGEST_AT
        if begin >= 0 and begin + _HEAD.size <= len(data) and _HEAD.unpack_from(data, begin)[0] == _MAGIC:
            return begin + int(_HEAD.unpack_from(data, begin)[3])
        at = data.rfind(known, 0, at)
    return None


def files(directory: Path) -> list[Path]:
    """The spool's files, oldest first; none when there is no such directory."""
    return sorted(directory.glob("*.log"))


def file_name(number: int) -> str:
    """Of the file whose first record has this number."""
    return f"{number:016x}.log"
