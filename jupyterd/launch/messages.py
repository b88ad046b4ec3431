"""One message to a kernel's control channel, straight over its connection file: for when no server runs.

The wire format is Jupyter's messaging protocol 5.3; nothing is waited for but the sending itself.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import zmq

_LINGER_MS = 1000


def send_control(context: zmq.Context[zmq.Socket[bytes]], connection_file: Path, kind: str, content: Any) -> None:  # noqa: ANN401 - JSON
    """Send `shutdown_request` or `interrupt_request`; OSError, ValueError when there is no way to."""
    info = json.loads(connection_file.read_text(encoding="utf-8"))
    parts = [json.dumps(each).encode() for each in (_header(kind), {}, {}, content)]
    signed = hmac.new(info["key"].encode(), b"".join(parts), hashlib.sha256).hexdigest().encode()
    joint = ":" if info["transport"] == "tcp" else "-"
    with context.socket(zmq.DEALER) as socket:
        socket.linger = _LINGER_MS
        socket.connect(f"{info['transport']}://{info['ip']}{joint}{info['control_port']}")
        socket.send_multipart([b"<IDS|MSG>", signed, *parts], flags=zmq.NOBLOCK)


def _header(kind: str) -> dict[str, str]:
    return {
        "msg_id": uuid.uuid4().hex, "session": uuid.uuid4().hex, "username": str(os.getuid()),
        "date": datetime.now(UTC).isoformat(), "msg_type": kind, "version": "5.3",
    }  # fmt: skip
