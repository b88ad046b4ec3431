"""The journal's two protocols, read back from sockets that the test made."""

from __future__ import annotations

import array
import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jupyterd.core.effects import Record
from jupyterd.core.journal_kinds import GPU, SERVING
from jupyterd.supervisor.journal import Journal


@dataclass(frozen=True)
class Journald:
    directory: str
    records: socket.socket
    streams: socket.socket


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[Journald]:
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as records,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as streams,
    ):
        records.bind(str(tmp_path / "socket"))
        streams.bind(str(tmp_path / "stdout"))
        streams.listen(1)
        for each in (records, streams):
            each.settimeout(5)
        yield Journald(str(tmp_path), records, streams)


def parse(data: bytes) -> dict[str, bytes]:
    """The native protocol, as journald reads it."""
    fields = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack_from("<Q", data)
            value, data = data[8 : 8 + length], data[8 + length + 1 :]
        fields[name.decode()] = value
    return fields


def test_a_record_has_its_fields(journald: Journald) -> None:
    journal = Journal(journald.directory)
    journal.write(Record(SERVING, "serves → you", (("SERVER_PID", "12"), ("TEXT", "a\nPRIORITY=0\nb"))))
    assert parse(journald.records.recv(65536)) == {
        "MESSAGE": "serves → you".encode(),
        "PRIORITY": b"5",
        "SYSLOG_IDENTIFIER": b"jupyterd",
        "MESSAGE_ID": SERVING.message_id.encode(),
        "JUPYTERD_EVENT": b"serving",
        "SERVER_PID": b"12",
        "TEXT": b"a\nPRIORITY=0\nb",
    }
    journal.close()


def test_a_long_record_goes_as_a_sealed_file(journald: Journald) -> None:
    journal = Journal(journald.directory)
    journal.write(Record(GPU, "x" * 1_000_000))
    data, ancillary, _, _ = journald.records.recvmsg(65536, socket.CMSG_SPACE(4))
    assert data == b""
    (fd,) = array.array("i", ancillary[0][2])
    with pytest.raises(PermissionError):
        os.write(fd, b"y")
    with os.fdopen(fd, "rb") as file:
        file.seek(0)
        assert parse(file.read())["MESSAGE"] == b"x" * 1_000_000
    journal.close()


def test_a_full_journal_stops_nobody_and_the_loss_is_counted(journald: Journald) -> None:
    journal = Journal(journald.directory)
    for number in range(2000):
        journal.write(Record(GPU, f"{number} " + "x" * 1000))
    received = 0
    journald.records.settimeout(0.1)
    with contextlib.suppress(TimeoutError):
        while journald.records.recv(65536):
            received += 1
    assert received < 2000
    journal.write(Record(GPU, "again"))
    assert parse(journald.records.recv(65536))["JUPYTERD_LOST"] == str(2000 - received).encode()
    journal.write(Record(GPU, "and again"))
    assert "JUPYTERD_LOST" not in parse(journald.records.recv(65536))
    journal.close()


def test_a_stream_begins_with_its_header_and_blocks_for_the_child(journald: Journald) -> None:
    journal = Journal(journald.directory)
    fd = journal.stream("server")
    assert os.get_blocking(fd)
    assert not os.get_inheritable(fd)
    os.write(fd, b"<4>careful\n")
    os.close(fd)
    connection, _ = journald.streams.accept()
    with connection, connection.makefile("rb") as file:
        assert file.read() == b"jupyterd-server\n\n6\n1\n0\n0\n0\n<4>careful\n"
    journal.close()


def test_without_a_journald_the_child_gets_our_standard_error(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path))
    journal.write(Record(GPU, "lost"))
    fd = journal.stream("server")
    assert os.path.sameopenfile(fd, 2)
    os.close(fd)
    journal.close()
