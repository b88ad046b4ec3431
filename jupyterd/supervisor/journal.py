"""The journal: our records by its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL), the output of our children by
streams of their own.

Never blocks and never fails: records that the journal does not take are counted; the next record carries the count.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import socket
import struct
from dataclasses import replace

from jupyterd.core.effects import Record

_DIRECTORY = "/run/systemd/journal"
IDENTIFIER = "jupyterd"
_LEVEL_PREFIX = 1
_INFO = 6
_TOO_LONG = (errno.EMSGSIZE, errno.ENOBUFS)
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class Journal:
    """Owns the datagram socket."""

    def __init__(self, directory: str = _DIRECTORY) -> None:
        """`directory` holds "socket" and "stdout"."""
        self._directory = directory
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._lost = 0

    def write(self, record: Record) -> None:
        """Send a record."""
        if self._lost:
            record = replace(record, fields=(*record.fields, ("JUPYTERD_LOST", str(self._lost))))
        try:
            self._send(encode(record))
            self._lost = 0
        except OSError:  # full, or journald is being restarted
            self._lost += 1

    def stream(self, name: str) -> int:
        """A descriptor for a child's standard output and error, identifier jupyterd-<name>; the caller closes it.
        A duplicate of our own standard error if the journal accepts no stream.
        """
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            stream.connect(f"{self._directory}/stdout")
            stream.shutdown(socket.SHUT_RD)
            # identifier, unit, priority, level prefix, forward to syslog, kmsg, console
            stream.send(f"jupyterd-{name}\n\n{_INFO}\n{_LEVEL_PREFIX}\n0\n0\n0\n".encode())
            stream.settimeout(None)  # the child's view: it waits for a slow journal like any service
            return stream.detach()
        except OSError:
            stream.close()
            return os.dup(2)

    def show(self, text: str) -> None:
        """Do nothing: a banner may hold a one-time token, which must not reach the journal."""

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _send(self, datagram: bytes) -> None:
        address = f"{self._directory}/socket"
        try:
            self._socket.sendto(datagram, address)
        except OSError as error:
            if error.errno not in _TOO_LONG:
                raise
            self._send_as_file(datagram, address)

    def _send_as_file(self, datagram: bytes, address: str) -> None:
        """Send a datagram that is longer than the socket's buffer, as a sealed memory file."""
        fd = os.memfd_create("jupyterd-record", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            written = 0
            while written < len(datagram):
                written += os.write(fd, datagram[written:])
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
            self._socket.sendmsg([], rights, 0, address)
        finally:
            os.close(fd)


def encode(record: Record) -> bytes:
    """The record as one datagram. A value with a line break is sent with its length, so it cannot forge a field."""
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
