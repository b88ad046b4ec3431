"""What passes between servers and recorders that may be of different versions: arguments, names and fields."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jupyterd.protocol import recorder_channel
from jupyterd.protocol.recorder_channel import (
    Asked,
    Away,
    Back,
    Hello,
    NotKept,
    Over,
    RecorderPaths,
    ReportNotKept,
    Told,
    Yours,
)

PATHS = RecorderPaths(Path("/run/k"), Path("/var/a spool"), Path("/var/kernels"), 1 << 20)


@pytest.mark.parametrize(
    "arguments",
    [
        (PATHS.encode(),),
        PATHS.positional(),
        ("/run/k", "/var/a spool", "/var/kernels", "1048576"),  # what the first versions were started with
    ],
)
def test_arguments_are_read_in_each_form_that_a_recorder_hands_on(arguments):
    assert RecorderPaths.decode(arguments) == PATHS


def test_positional_arguments_are_those_that_the_first_versions_read():
    sockets, spool, records, max_bytes = PATHS.positional()
    assert (sockets, spool, records) == ("/run/k", "/var/a spool", "/var/kernels") and max_bytes == "1048576"


def test_arguments_without_a_bound_have_the_default():
    given = '{"sockets": "/run/k", "spool": "/var/a spool", "records": "/var/kernels"}'
    assert RecorderPaths.decode((given,)) == replace(PATHS, max_bytes=64 << 20)


@pytest.mark.parametrize(
    "arguments",
    [(), ("/run/k", "/var", "/a", "b"), ("/a", "/b", "/c"), ("{",), ("[]",), ('{"sockets": "/run/k"}',), ("{}",)],
)
def test_other_arguments_are_refused_by_name(arguments):
    with pytest.raises(ValueError, match="not the arguments of a recorder"):
        RecorderPaths.decode(arguments)


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (
            Hello("/usr/bin/python3", 1024, (("kernel", "tab"),)),
            b'{"Hello": {"python": "/usr/bin/python3", "max_bytes": 1024, "tabs": [["kernel", "tab"]]}}\n',
        ),
        (Back("kernel", "tab"), b'{"Back": {"kernel": "kernel", "session": "tab"}}\n'),
        (Away("kernel", "tab"), b'{"Away": {"kernel": "kernel", "session": "tab"}}\n'),
        (Yours("kernel", "tab", stood=True), b'{"Yours": {"kernel": "kernel", "session": "tab", "stood": true}}\n'),
        (Over("kernel", "why"), b'{"Over": {"kernel": "kernel", "why": "why", "before": ""}}\n'),
        (ReportNotKept(), b'{"ReportNotKept": {}}\n'),
        (Asked("kernel", ("YQ==",)), b'{"Asked": {"kernel": "kernel", "frames": ["YQ=="]}}\n'),
        (NotKept((("kernel", "why"),)), b'{"NotKept": {"kernels": [["kernel", "why"]]}}\n'),
        (Told("kernel", "0f"), b'{"Told": {"kernel": "kernel", "digest": "0f"}}\n'),
    ],
)
def test_a_message_is_on_the_wire_as_other_versions_know_it(message, line):
    assert recorder_channel.encode(message) == line
    assert recorder_channel.decode(line) == message


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b'{"OfALaterVersion": {}}', b'{"Back": {"kernel": "k"}}', b"\xff"])
def test_a_line_of_another_version_is_a_value_error(line):
    with pytest.raises(ValueError, match="not a message"):
        recorder_channel.decode(line)
