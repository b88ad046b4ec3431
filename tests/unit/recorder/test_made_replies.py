"""The execute_reply that is made from what a kernel says on iopub, and the conversation with the server."""

from __future__ import annotations

import json

import pytest

from jupyterd.protocol import recorder_channel, spool
from jupyterd.protocol.recorder_channel import Away, Back, Hello, Over, Told, Yours
from jupyterd.recorder.made_replies import Replies

PARENT = {"msg_id": "q", "msg_type": "execute_request", "session": "tab"}


def said(kind, content, parent=PARENT):
    header = {"msg_id": "k1", "msg_type": kind, "session": "kernel", "date": "2026-01-01T00:00:00Z", "version": "5.3"}
    return [b"", *(json.dumps(each).encode() for each in (header, parent, {}, content))]


def told(*messages):
    replies = Replies()
    found = [made for each in messages for made in replies.follow(each)]
    return [(each.whose, json.loads(each.frames[4]), each.frames) for each in found]


BUSY, IDLE = said("status", {"execution_state": "busy"}), said("status", {"execution_state": "idle"})


def test_a_cell_that_went_well():
    ((session, content, frames),) = told(BUSY, said("execute_input", {"execution_count": 4, "code": ""}), IDLE)
    assert session == spool.tag("tab")
    assert content == {"status": "ok", "execution_count": 4, "user_expressions": {}, "payload": []}
    assert json.loads(frames[1])["msg_type"] == "execute_reply" and json.loads(frames[1])["session"] == "kernel"
    assert json.loads(frames[2]) == PARENT
    assert frames[0] == b"", "the server signs"


def test_a_cell_that_failed_and_the_one_skipped_behind_it():
    error = {"ename": "E", "evalue": "v", "traceback": ["t"]}
    begun = said("execute_input", {"execution_count": 4, "code": ""})
    (_, first, _), (_, second, _) = told(BUSY, begun, said("error", error), IDLE, BUSY, IDLE)
    assert first == {**error, "status": "error", "execution_count": 4}
    assert second == {"status": "aborted"}


def test_other_requests_and_damaged_messages_make_no_reply():
    info = {"msg_id": "i", "msg_type": "kernel_info_request", "session": "tab"}
    assert told(said("status", {"execution_state": "idle"}, info)) == []
    assert told([b"", b'{"msg_type": "status"}', b"nonsense", b"", b"\xff"], [b""] * 5) == []


def test_when_the_kernel_is_gone_every_cell_ends_and_says_why():
    replies = Replies()
    other = {**PARENT, "msg_id": "r", "session": "other"}
    for each in (
        BUSY,
        said("execute_input", {"execution_count": 4}),
        said("status", {"execution_state": "busy"}, other),
    ):
        assert replies.follow(each) == []
    made = replies.close("gone")
    kinds = [(each.kind, each.whose, json.loads(each.frames[2])["msg_id"]) for each in made]
    note, reply = (spool.NOTE, spool.NOBODY), spool.REPLY
    assert kinds == [
        (*note, "q"), (*note, "q"), (reply, spool.tag("tab"), "q"),
        (*note, "r"), (*note, "r"), (reply, spool.tag("other"), "r"),
    ]  # fmt: skip
    stream, idle, answer = (json.loads(each.frames[4]) for each in made[:3])
    assert stream == {"name": "stderr", "text": "\n[jupyterd: gone]\n"}
    assert idle == {"execution_state": "idle"}
    assert (answer["status"], answer["evalue"], answer["execution_count"]) == ("error", "gone", 4)
    assert replies.close("gone") == [] == replies.follow(said("status", {"execution_state": "starting"}, {}))


def test_an_idle_kernel_ends_only_the_cells_that_began_before():
    replies = Replies()
    replies.follow(BUSY)
    assert replies.close("missed", b"2026-01-01T00:00:00") == []
    assert len(replies.close("missed", b"2026-01-01T00:00:01")) == 3


def test_a_kernel_that_starts_again_ends_the_cells_of_before():
    made = told(BUSY, said("status", {"execution_state": "starting"}, {}))
    assert [content.get("status") for _, content, _ in made] == [None, None, "error"]
    assert "restarted here" in made[0][1]["text"]


@pytest.mark.parametrize(
    "message",
    [
        Hello("1", 5, (("k", "s"),)),
        Hello("1", 5),
        Back("k", "s"),
        Away("k", "s"),
        Yours("k", "s", stood=True),
        Over("k", "why"),
        Over("k", "why", "2026"),
        Told("k", "ab"),
    ],
)
def test_every_message_of_the_conversation_comes_back(message):
    assert recorder_channel.decode(recorder_channel.encode(message)) == message


@pytest.mark.parametrize("line", [b"", b"[]", b'{"Hello": 3}', b'{"No": {}}', b"\xff", b'{"Hello": {"tabs": [1]}}'])
def test_nonsense_is_refused(line):
    with pytest.raises(ValueError, match="not a message"):
        recorder_channel.decode(line)
