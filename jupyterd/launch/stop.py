"""Ends kernels cleanly, all at the same time: interrupt and shutdown request, SIGTERM, SIGKILL, each with its deadline.

Terminals get SIGHUP, then SIGKILL. Processes are watched by pidfd. The requests go straight to the kernel's control
channel by its connection file, in Jupyter's messaging protocol 5.3: no server needs to run.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import select
import signal
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import zmq

from jupyterd.launch import launcher, registry, user_manager, user_unit
from jupyterd.launch.registry import Entry
from jupyterd.launch.user_unit import LaunchFailed
from jupyterd.linux import kept, proc
from jupyterd.protocol import documents

_TERM_AT = 0.75
"""Share of the grace period before SIGTERM: the time for a cell that saves its work on KeyboardInterrupt."""
_AFTER_KILL_S = 3.0
_LINGER_MS = 1000


def interrupt(record: Entry) -> bool:
    """Interrupt the kernel, as the notebook's stop button does. False when it has ended."""
    if record.process is None or not proc.is_alive(record.process):
        return False
    if record.interrupt_mode == "message":
        with zmq.Context() as context:
            _send(context, record, "interrupt_request", {})
        return True
    return launcher.signal_group(record.process, signal.SIGINT)


def end_all(directory: Path, running: Sequence[Entry], grace_s: float, why: str) -> list[Entry]:
    """End these kernels for good, within `grace_s` and 3 s more for those that only SIGKILL ends. Returns those left.

    `why` is written beside each record first, so that a running server forgets the kernel instead of starting it again.
    Where no server runs, the kernels are forgotten here.
    """
    for record in running:
        registry.write_why(directory, record.id, why)
    if registry.server_runs(directory):
        return end(running, grace_s, launcher.clear)

    def forget(record: Entry) -> None:
        with contextlib.suppress(OSError):  # a read-only disk: the next server finds that it has ended
            launcher.forget(directory, record)

    return end(running, grace_s, forget)


def hang_up(record: Entry) -> None:
    """Like closing a terminal window: SIGHUP to a shell, SIGTERM to tmux, which has no terminal of its own."""
    if record.process is None or (pidfd := proc.open_pidfd(record.process)) is None:
        return
    try:
        for signum in (signal.SIGHUP, signal.SIGCONT) if record.tty else (signal.SIGTERM,):
            signal.pidfd_send_signal(pidfd, signum)
    except OSError:
        pass  # it ended meanwhile, or it is a program of another account now (sudo, started with exec)
    finally:
        os.close(pidfd)


def end_terminals(directory: Path, grace_s: float, *, units: bool) -> None:
    """End and forget every recorded terminal within `grace_s`; with `units` also what outlived a shell in its unit."""
    every, _ = registry.read_all(directory)
    open_fds: dict[int, Entry] = {}
    for record in every:
        hang_up(record)
        pidfd = None if record.process is None else proc.open_pidfd(record.process)
        if pidfd is None:
            launcher.forget(directory, record)
        else:
            open_fds[pidfd] = record
    begin = time.monotonic()

    def forget(record: Entry) -> None:
        launcher.forget(directory, record)

    _await(open_fds, forget, begin + grace_s)
    _signal(open_fds.values(), signal.SIGKILL)
    _await(open_fds, forget, begin + grace_s + _AFTER_KILL_S)
    if units and user_manager.trouble() is None:
        with contextlib.suppress(LaunchFailed):
            user_unit.end_terminals(grace_s)


def end(running: Sequence[Entry], grace_s: float, ended: Callable[[Entry], None]) -> list[Entry]:
    """End these processes and call `ended` for each. Returns those that even SIGKILL did not end within 3 s."""
    open_fds: dict[int, Entry] = {}
    for record in running:
        pidfd = None if record.process is None else proc.open_pidfd(record.process)
        if pidfd is None:
            ended(record)
        else:
            open_fds[pidfd] = record
    begin = time.monotonic()
    with zmq.Context() as context:
        for record in open_fds.values():
            if record.interrupt_mode == "message":
                _send(context, record, "interrupt_request", {})
        _signal([each for each in open_fds.values() if each.interrupt_mode != "message"], signal.SIGINT)
        for record in open_fds.values():
            _send(context, record, "shutdown_request", {"restart": False})
        _await(open_fds, ended, begin + grace_s * _TERM_AT)
    _signal(open_fds.values(), signal.SIGTERM)
    _await(open_fds, ended, begin + grace_s)
    _signal(open_fds.values(), signal.SIGKILL)
    _await(open_fds, ended, begin + grace_s + _AFTER_KILL_S)
    for pidfd in open_fds:
        os.close(pidfd)
    return list(open_fds.values())


def _send(context: zmq.Context[zmq.Socket[bytes]], record: Entry, kind: str, content: dict[str, bool]) -> None:
    """Send `shutdown_request` or `interrupt_request`; the answer is not waited for."""
    with contextlib.suppress(
        OSError, ValueError, KeyError, AttributeError, zmq.ZMQError
    ):  # TERM and KILL come all the same
        info = documents.document(kept.read(Path(record.connection_file)))
        parts = [json.dumps(each).encode() for each in (_header(kind), {}, {}, content)]
        signature = hmac.new(info["key"].encode(), b"".join(parts), hashlib.sha256).hexdigest().encode()
        joint = ":" if info["transport"] == "tcp" else "-"
        with context.socket(zmq.DEALER) as socket:
            socket.linger = _LINGER_MS
            socket.connect(f"{info['transport']}://{info['ip']}{joint}{info['control_port']}")
            socket.send_multipart([b"<IDS|MSG>", signature, *parts], flags=zmq.NOBLOCK)


def _header(kind: str) -> dict[str, str]:
    return {
        "msg_id": uuid.uuid4().hex, "session": uuid.uuid4().hex, "username": str(os.getuid()),
        "date": datetime.now(UTC).isoformat(), "msg_type": kind, "version": "5.3",
    }  # fmt: skip


def _signal(running: Iterable[Entry], signum: int) -> None:
    for record in running:
        if record.process is not None:
            launcher.signal_group(record.process, signum)


def _await(open_fds: dict[int, Entry], ended: Callable[[Entry], None], until: float) -> None:
    poller = select.poll()
    for pidfd in open_fds:
        poller.register(pidfd, select.POLLIN)
    while open_fds and (left := until - time.monotonic()) > 0:
        for pidfd, _ in poller.poll(left * 1000):
            poller.unregister(pidfd)
            os.close(pidfd)
            ended(open_fds.pop(pidfd))
