"""The spool of one kernel: all that it said, as numbered records in files that only grow; the recorder writes them,
the server reads them. Places: SPOOL/KERNEL_ID/NUMBER.log, named by its first record, and SPOOL/KERNEL_ID/marks.

A number that is missing between two records is a message that was dropped. A record that is damaged on disk is skipped,
and the next whole one is found: it costs itself, never what follows.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
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

FILE_MOST_BYTES = 1 << 33
"""More than any file of a spool has: one record may be 4 GiB long."""
_MAGIC = 0x6A64
_MAGIC_BYTES = struct.pack("<H", _MAGIC)
_HEAD = struct.Struct("<HBxHHIQQ16s8s")
"""Magic, kind, count of frames, checksum, bytes in all, number, bytes of all records before, digest, tag."""
_CHECK_AT, _CHECK = 6, struct.Struct("<H")
"""Of the whole record, with 0 in its own place. 0: none, as earlier versions wrote it, who do not read it either."""
_DIGEST_AT = 28
_MOST_NUMBER = 1 << 62
_LENGTH = struct.Struct("<I")
_DATE = re.compile(rb'"date": ?"([^"]{1,32})')
_TYPE = re.compile(rb'"msg_type": ?"([^"]+)"')
_NAME = re.compile(r"[0-3][0-9a-f]{15}\.log")
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
    return bytes(blake2b(session.encode(errors="surrogatepass"), digest_size=8).digest())


def date(header: bytes) -> bytes:
    """The date in a header frame, without its Z so that dates can be compared as bytes; b"" when there is none."""
    found = _DATE.search(header)
    return found[1].rstrip(b"Z") if found else b""


def message_type(header: bytes) -> bytes:
    """The msg_type in a header frame, without parsing it."""
    found = _TYPE.search(header)
    return found[1] if found else b""


def message_id(header: bytes) -> str:
    """The msg_id in a header frame; "" where there is none."""
    try:
        return str(json.loads(header).get("msg_id", ""))
    except (ValueError, AttributeError, RecursionError):
        return ""


def pack(kind: int, number: int, before: int, whose: bytes, frames: Sequence[bytes]) -> bytes:
    """One record as bytes. `frames`: signature, header, parent header, metadata, content, buffers. ValueError: they are
    too long for a record (4 GiB).
    """
    size = _HEAD.size + sum(_LENGTH.size + len(each) for each in frames)
    try:
        parts = [_HEAD.pack(_MAGIC, kind, len(frames), 0, size, number, before, digest(frames[1]), whose)]
    except struct.error as error:
        raise ValueError(f"a message of {size} bytes is too long to be recorded") from error
    for each in frames:
        parts += (_LENGTH.pack(len(each)), each)
    record = bytearray(b"".join(parts))
    _CHECK.pack_into(record, _CHECK_AT, _checksum(record))
    return bytes(record)


def heads(data: bytes, offset: int = 0) -> Iterator[tuple[int, int]]:
    """(offset, size) of each whole, undamaged record. What is between them is skipped; a torn one ends it."""
    while offset >= 0:
        if size := _size(data, offset):
            yield offset, size
            offset += size
        else:
            offset = data.find(_MAGIC_BYTES, offset + 1)


def begins_whole(data: bytes) -> bool:
    """Whether the first record in `data` is all there, rather than longer than `data`, or torn."""
    if len(data) < _HEAD.size:
        return False
    magic, _, _, _, size, *_ = _HEAD.unpack_from(data, 0)
    return bool(magic != _MAGIC or size <= len(data))


def _size(data: bytes, offset: int) -> int:
    """Bytes of the whole, undamaged record at this offset; 0: there is none."""
    if offset + _HEAD.size > len(data):
        return 0
    magic, kind, count, check, size, number, before, known, _ = _HEAD.unpack_from(data, offset)
    if (
        magic != _MAGIC
        or kind > END
        or not _HEAD.size < size <= len(data) - offset
        or max(number, before) > _MOST_NUMBER
    ):
        return 0
    if check:
        return size if _checksum(data[offset : offset + size]) == check else 0
    at, header = offset + _HEAD.size, b""
    for frame in range(count):
        if at + _LENGTH.size > offset + size:
            return 0
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size + length
        if frame == 1:
            header = data[at - length : at]
    return size if at == offset + size and known == digest(header) else 0


def _checksum(record: bytes | bytearray) -> int:
    """Of the record with 0 in the place of its checksum; never 0."""
    before, behind = record[:_CHECK_AT], record[_CHECK_AT + _CHECK.size :]
    found = zlib.crc32(behind, zlib.crc32(b"\0\0", zlib.crc32(before)))
    return (found ^ found >> 16) & 0xFFFF or 1


def unpack(data: bytes, offset: int) -> Spooled:
    """The record at this offset, which comes from `heads`."""
    _, kind, count, _, size, number, before, known, whose = _HEAD.unpack_from(data, offset)
    at, frames = offset + _HEAD.size, []
    for _ in range(count):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        frames.append(bytes(data[at : at + length]))
        at += length
    return Spooled(kind, number, before, known, whose, tuple(frames), size)


def records(data: bytes, offset: int = 0) -> Iterator[Spooled]:
    """All whole records from `offset` on."""
    return (unpack(data, each) for each, _ in heads(data, offset))


def find(data: bytes, known: bytes) -> int | None:
    """The offset behind the last record with this digest; None if there is none."""
    at = data.rfind(known)
    while at >= 0:
        begin = at - _DIGEST_AT
        if begin >= 0 and (size := _size(data, begin)):
            return begin + size
        at = data.rfind(known, 0, at)
    return None


def files(directory: Path) -> list[Path]:
    """The spool's files, oldest first; none when there is no such directory. Other names are not the recorder's."""
    return sorted(path for path in directory.glob("*.log") if _NAME.fullmatch(path.name))


def first_number(path: Path) -> int:
    """The number of the first record in this file, from its name."""
    return int(path.stem, 16)


def file_name(number: int) -> str:
    """Of the file whose first record has this number."""
    return f"{number:016x}.log"
