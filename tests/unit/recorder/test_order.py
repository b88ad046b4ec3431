"""In which order one kernel's messages come into its spool, with sockets that hold what has arrived."""

from __future__ import annotations

import json

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


def message(kind):
    header = {"msg_id": kind, "msg_type": kind, "date": "2026-01-01T00:00:00.000000Z"}
    return [b"stream", b"<IDS|MSG>", b"signature", json.dumps(header).encode(), b"{}", b"{}", b"{}"]


def test_a_reply_waits_for_the_output_before_it_however_much_that_is(tmp_path):
    sockets = Sockets()
    kernel = RecordedKernel(sockets, ConnectionFile("ipc", "/k", 1, 2, 3), tmp_path, 1 << 20)
    kernel.hold_identity("tab")
    iopub, shell, stdin = sockets.made
    iopub.messages += [message("stream") for _ in range(1200)]
    shell.messages.append(message("execute_reply"))
    stdin.messages.append(message("input_request"))
    while any(each.messages for each in sockets.made):
        kernel.take()
    kernel.close()
    kinds = [each.kind for path in spool.files(tmp_path) for each in spool.records(path.read_bytes())]
    assert kinds[-2:] == [spool.SHELL, spool.STDIN]
    assert set(kinds[:-2]) == {spool.IOPUB}
