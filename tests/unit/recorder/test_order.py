"""In which order one kernel's messages come into its spool, with sockets that hold what has arrived."""

from __future__ import annotations

import json
import time

import pytest
import zmq

from jupyterd.protocol import spool
from jupyterd.recorder.kernel import ConnectionFile, RecordedKernel


class Arrived:
    """A socket, as far as the recorder uses one: `messages` have arrived."""

    def __init__(self, kind):
        self.kind, self.messages = kind, []

    def recv_multipart(self, _flags):
        if not self.messages:
            raise zmq.Again
        return self.messages.pop(0)

    def poll(self, _timeout_ms):
        return bool(self.messages)

    def subscribe(self, _topic): ...

    def setsockopt(self, _option, _value): ...

    def connect(self, _address): ...

    def close(self): ...


class Sockets:
    """A context that remembers the sockets it has made."""

    def __init__(self):
        self.made = []

    def socket(self, kind):
        self.made.append(Arrived(kind))
        return self.made[-1]


def message(kind, parent=None, **content):
    header = {"msg_id": kind, "msg_type": kind, "date": "2026-01-01T00:00:00.000000Z"}
    frames = (json.dumps(each).encode() for each in (header, parent or {}, {}, content))
    return [b"stream", b"<IDS|MSG>", b"signature", *frames]


def begin(directory):
    """A kernel recorded for an absent tab, "tab", and its sockets: iopub, shell, stdin."""
    sockets = Sockets()
    kernel = RecordedKernel(sockets, ConnectionFile("ipc", "/k", 1, 2, 3), directory, 1 << 20)
    kernel.hold_identity("tab")
    return kernel, sockets.made


def cell(session):
    """The output of a cell that prints nothing."""
    request = {"msg_id": f"cell of {session}", "msg_type": "execute_request", "session": session}
    return [message("status", request, execution_state=state) for state in ("busy", "idle")]


def recorded(directory):
    """The kind of each record."""
    return [each.kind for path in spool.files(directory) for each in spool.records(path.read_bytes())]


def test_a_reply_waits_for_the_output_before_it_however_much_that_is(tmp_path):
    kernel, (iopub, shell, stdin) = begin(tmp_path)
    iopub.messages += [message("stream") for _ in range(1200)]
    shell.messages.append(message("execute_reply"))
    stdin.messages.append(message("input_request"))
    while iopub.messages or shell.messages or stdin.messages:
        kernel.take()
    kernel.close()
    kinds = recorded(tmp_path)
    assert kinds[-2:] == [spool.SHELL, spool.STDIN]
    assert set(kinds[:-2]) == {spool.IOPUB}


def test_what_the_kernel_asks_an_absent_tab_is_there_to_be_passed_on_once(tmp_path):
    kernel, (_, _, stdin) = begin(tmp_path)
    stdin.messages += [message("input_request", prompt="who?")]
    kernel.take()
    assert [json.loads(frames[4]) for frames in kernel.questions()] == [{"prompt": "who?"}]
    assert kernel.questions() == []
    kernel.close()


OUTPUT, OWN, MADE, NOTE, END = spool.IOPUB, spool.SHELL, spool.REPLY, spool.NOTE, spool.END
REQUEST = {"msg_id": "cell of tab", "msg_type": "execute_request", "session": "tab"}
ITS_OWN = message("execute_reply", REQUEST)


@pytest.mark.parametrize(
    ("said", "ends", "kinds"),
    [
        (cell("tab"), ["take"], [OUTPUT, OUTPUT, OWN]),
        (cell("tab"), ["release"], [OWN]),
        (cell("tab"), ["take", "release"], [OUTPUT, OUTPUT, OWN]),
        (cell("tab"), ["end"], [OUTPUT, OUTPUT, OWN, END]),
        (cell("tab")[:1], ["end"], [OUTPUT, OWN, NOTE, NOTE, END]),
        ([], ["end"], [OWN, END]),
        # nobody else's reply waits: it cannot come to this recorder
        (cell("other"), ["take"], [OUTPUT, OUTPUT, MADE, OWN]),
        (cell("tab") + cell("other"), ["take"], [OUTPUT, OUTPUT, OUTPUT, OUTPUT, MADE, OWN]),
        # more output than one turn takes
        (cell("tab") + [message("stream")] * 600, ["take"], [OUTPUT] * 500),
        (cell("tab") + [message("stream")] * 600, ["take", "release"], [OUTPUT] * 500 + [OWN]),
        (cell("tab") + [message("stream")] * 600, ["take", "close"], [OUTPUT] * 500 + [OWN]),
        (cell("tab") + [message("stream")] * 600, ["end"], [OUTPUT] * 602 + [OWN, END]),
    ],
)
def test_the_kernels_own_reply_is_recorded_and_none_is_made(tmp_path, said, ends, kinds):
    kernel, (iopub, shell, _) = begin(tmp_path)
    iopub.messages += said
    shell.messages.append(ITS_OWN)
    play(kernel, ends)
    assert recorded(tmp_path) == kinds


def play(kernel, ends):
    for each in ends:
        match each:
            case "take":
                kernel.take()
            case "release":
                assert kernel.release_identity("tab") and not kernel.release_identity("tab")
            case "end":
                kernel.end_cells("gone", b"")
            case "close":
                kernel.close()


@pytest.mark.parametrize("ends", [["take"], ["release"], ["close"]], ids=lambda each: each[0])
def test_the_kernels_own_reply_may_arrive_after_the_end_of_its_cell(tmp_path, ends):
    kernel, (iopub, shell, _) = begin(tmp_path)
    iopub.messages += cell("tab")
    kernel.take()
    assert recorded(tmp_path) == [OUTPUT, OUTPUT] and kernel.deadline() is not None and kernel.runs_cell
    shell.messages.append(ITS_OWN)
    play(kernel, ends)
    assert recorded(tmp_path) == [OUTPUT, OUTPUT, OWN] and kernel.deadline() is None and not kernel.runs_cell


def test_the_kernels_own_reply_may_arrive_before_the_end_of_its_cell(tmp_path):
    kernel, (iopub, shell, _) = begin(tmp_path)
    busy, idle = cell("tab")
    iopub.messages.append(busy)
    shell.messages.append(ITS_OWN)
    kernel.take()
    iopub.messages.append(idle)
    kernel.take()
    assert recorded(tmp_path) == [OUTPUT, OWN, OUTPUT] and kernel.deadline() is None


@pytest.mark.parametrize("ends", [["wait"], ["release"], ["end"], ["close"]], ids=lambda each: each[0])
def test_a_reply_is_made_where_the_kernels_own_never_arrives(tmp_path, ends):
    kernel, (iopub, _, _) = begin(tmp_path)
    iopub.messages += cell("tab")
    kernel.take()
    if ends == ["wait"]:
        while (until := kernel.deadline()) is not None:
            time.sleep(max(0.0, until - time.monotonic()))
            kernel.take()
    play(kernel, ends)
    assert recorded(tmp_path)[:3] == [OUTPUT, OUTPUT, MADE] and kernel.deadline() is None


def test_a_reply_that_a_killed_recorder_did_not_come_to_make_is_made_by_the_next(tmp_path):
    kernel, (iopub, _, _) = begin(tmp_path)
    iopub.messages += cell("tab")
    kernel.take()  # the rest of the recorder never runs
    for _ in range(2):
        begin(tmp_path)
        assert recorded(tmp_path) == [OUTPUT, OUTPUT, MADE], "once"
