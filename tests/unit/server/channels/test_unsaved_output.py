"""Which messages of a page are noted as requests of a cell, and where a later page begins to read."""

from __future__ import annotations

import json
import logging

import pytest
from jupyter_server.services.kernels.connection.base import serialize_msg_to_ws_v1

from jupyterd.protocol import spool, unsaved
from jupyterd.recorder.spool_writer import SpoolWriter
from jupyterd.server.channels import spool_reader, unsaved_output

LOG = logging.getLogger("test")


def sent(kind="execute_request", channel="shell", metadata=None, **content):
    header = {"msg_id": "m1", "msg_type": kind, "session": "tab"}
    metadata = {"cellId": "c1"} if metadata is None else metadata
    parts = (json.dumps(each).encode() for each in (header, {}, metadata, {"code": "1 + 1", **content}))
    return bytes(serialize_msg_to_ws_v1(list(parts), channel))


@pytest.mark.parametrize(
    ("message", "noted"),
    [
        (sent(), [("m1", "tab", "c1", "1 + 1")]),
        (sent(metadata={}), []),
        (sent(metadata={"cellId": 3}), []),
        (sent(silent=True), []),
        (sent(code=None), []),
        (sent("complete_request"), []),
        (sent("input_reply", "stdin"), []),
        (b"", []),
    ],
)
def test_only_what_runs_a_cell_is_noted(tmp_path, message, noted):
    unsaved_output.note(tmp_path, "tab", message, LOG)
    assert [(each.msg_id, each.session, each.cell, each.code) for each in unsaved.read(tmp_path)] == noted


def test_a_request_that_is_repeated_runs_once(tmp_path):
    def is_known(repeated):
        return unsaved_output.note(tmp_path, "tab", sent(), LOG, repeated=repeated)

    assert [is_known(each) for each in (True, True)] == [False, True], "the server that had the first was killed"
    assert not is_known(repeated=False), "a page that sends it without a word means it"


def test_a_question_that_a_page_shows_is_known_until_another_and_whether_it_is_answered(tmp_path):
    def shown(kind, name):
        parts = (json.dumps(each).encode() for each in ({"msg_id": name, "msg_type": kind}, {}, {}, {}))
        unsaved_output.show_question(tmp_path, [b"signature", *parts])

    unsaved_output.note(tmp_path, "tab", sent("input_reply", "stdin"), LOG)
    assert unsaved.question(tmp_path) is None
    shown("input_request", "q1")
    shown("other", "q2")
    assert unsaved.question(tmp_path).answered is False
    assert "q1" in unsaved.question(tmp_path).header
    unsaved_output.note(tmp_path, "tab", sent("input_reply", "stdin"), LOG)
    assert unsaved.question(tmp_path).answered is True
    shown("input_request", "q3")
    assert unsaved.question(tmp_path).answered is False


def test_a_disk_that_takes_nothing_is_told_and_costs_nothing_else(tmp_path, caplog):
    unsaved_output.note(tmp_path / "gone", "tab", sent(), LOG)
    assert "will not show the output of this cell" in caplog.text


def test_a_later_page_begins_before_the_oldest_request_that_the_kernel_has_spoken_of(tmp_path):
    log = SpoolWriter(tmp_path, 1 << 20)
    for number, request in enumerate(("r0", "r2", "r3")):
        header = json.dumps({"msg_id": f"m{number}", "date": f"2026-01-01T00:00:0{number}.000000Z"}).encode()
        log.append(spool.IOPUB, spool.NOBODY, [b"", header, json.dumps({"msg_id": request}).encode(), b"{}", b"{}"])
    assert unsaved_output.begin(tmp_path) == spool_reader.end(tmp_path)
    for request in ("r1", "r2", "r3"):
        unsaved.add(tmp_path, unsaved.request(request, "tab", request, "1", 0.0))
    assert unsaved_output.begin(tmp_path) == spool_reader.before(tmp_path, "r2")
    assert spool_reader.before(tmp_path, "r2") != spool_reader.before(tmp_path, "r3")
