"""The journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): fields to bytes. No sockets here."""

from __future__ import annotations

import struct

from jupyterd.core.effects import Record

IDENTIFIER = "jupyterd"


def encode(record: Record) -> bytes:
    """One datagram. A value with a line break goes with its length, so nothing in it can forge a field."""
    kind = record.kind
    fields = (
        ("MESSAGE", record.message),
        ("PRIORITY", str(kind.priority)),
        ("SYSLOG_IDENTIFIER", IDENTIFIER),
        ("MESSAGE_ID", kind.message_id),
        ("JUPYTERD_EVENT", kind.event),
        *record.fields,
    )
    return b"".join(_field(name, value.encode(errors="replace")) for name, value in fields)


def _field(name: str, value: bytes) -> bytes:
    if b"\n" in value:
        return name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
    return name.encode() + b"=" + value + b"\n"
