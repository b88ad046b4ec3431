"""Adopts the kernels of an earlier server: same id, same sockets, before the first request is answered.

`take` needs no event loop; `watch` runs in it and finds out whether a kernel is idle.
Each line has its trap behind it (docs/architecture.md lists them).
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec, NoSuchKernel
from jupyter_server._tz import utcnow

from jupyterd.launch import deaths, launcher, registry
from jupyterd.launch.registry import Entry
from jupyterd.linux import proc
from jupyterd.protocol import spool
from jupyterd.server.kernels import death_notice
from jupyterd.server.kernels.kernel import Kernel
from jupyterd.server.kernels.provisioner import Provisioner

_AGAIN_S = 0.1


@dataclass(frozen=True, slots=True)
class RegisteredKernels:
    """What the registry holds: (entry, pidfd) of each running kernel, (entry, None) of each that died by itself and
    will be restarted, and a sentence about each that has ended.
    """

    kernels: tuple[tuple[Entry, int | None], ...]
    told: tuple[str, ...]
    damaged: tuple[str, ...] = ()
    """A sentence about each record that was set aside or cannot be read."""


def look(directory: Path) -> RegisteredKernels:
    """Read the registry; kernels that were stopped while no server ran are removed from it."""
    every, damaged = registry.read_all(directory)
    told: list[str] = []
    with contextlib.suppress(OSError):  # a read-only disk: another time
        registry.sweep(directory)
    boot = proc.boot_id()
    found: list[tuple[Entry, int | None]] = []
    for record in every:
        pidfd = None if record.process is None else proc.open_pidfd(record.process, boot)
        why = registry.read_why(directory, record.id)
        died = record.process is not None and record.process.boot == boot and not why
        if (pidfd is not None or died) and Path(record.connection_file).is_file():
            found.append((record, pidfd))
            continue
        if pidfd is not None:
            os.close(pidfd)
            cause = "its connection file is gone, so it could not be reached"
        elif record.process is not None and record.process.boot != boot:
            cause = "it ended with the machine"
        else:
            cause = deaths.cause(launcher.ending(directory, record), oom=None, why=why)
        told.append(f"kernel {record.id} ({record.name}) ended while no server ran: {cause}")
        with contextlib.suppress(OSError):
            deaths.note(directory, record, cause)
        with contextlib.suppress(OSError):
            launcher.forget(directory, record)
    return RegisteredKernels(tuple(found), tuple(told), tuple(damaged))


def take(make: Callable[..., Kernel], record: Entry, pidfd: int | None) -> Kernel:
    """A Kernel in the state of one that was started here. OSError, ValueError, KeyError: its connection file is
    damaged.
    """
    kernel = make(connection_file=record.connection_file, kernel_name=record.name)
    kernel.kernel_id = record.id
    kernel.load_connection_file()
    kernel._connection_file_written = True  # noqa: SLF001 - a restart must keep it, a deletion remove it
    env = dict(os.environ)
    with contextlib.suppress(OSError, ValueError, KeyError):
        env["JPY_SESSION_NAME"] = registry.read_env(Path(kernel.records_dir), record.id)["JPY_SESSION_NAME"]
    start: Any = {"cwd": record.cwd, "env": env}
    kernel._launch_args = start  # noqa: SLF001 - what a restart starts with
    kernel._attempted_start = True  # noqa: SLF001 - else the first restart waits for a start that never was
    kernel.provisioner = Provisioner(kernel_id=record.id, kernel_spec=_spec(kernel, record), parent=kernel)
    kernel.provisioner.attach(record, pidfd)
    kernel.heard()  # it has long started
    kernel.provisioner.adopt_ports()
    kernel.ready.set_result(None)
    kernel.execution_state = "busy"  # until it says otherwise, or culling may end a working kernel
    kernel.last_activity = utcnow()
    # A busy kernel answers kernel_info when its cell is done: each websocket would be held for up to 60 s.
    known: concurrent.futures.Future[dict[str, Any]] = concurrent.futures.Future()
    known.set_result({})
    kernel._kernel_info_future = known  # noqa: SLF001 - where the websocket handler looks
    return kernel


def _spec(kernel: Kernel, record: Entry) -> KernelSpec | None:
    with contextlib.suppress(NoSuchKernel, OSError, ValueError):
        return kernel.kernel_spec
    kernel._kernel_spec = KernelSpec(  # noqa: SLF001 - removed since; the record knows enough to go on
        argv=list(record.argv), display_name=record.name, interrupt_mode=record.interrupt_mode
    )
    return kernel.kernel_spec


class IdleWatch:
    """Decides whether an adopted kernel is idle, from the order of its own iopub stream.

    A kernel_info_request is sent; when its "idle" comes by on iopub and no cell is open, the kernel is idle. Whatever
    comes later comes later in the same stream, so the answer cannot be wrong. The reply on the shell channel only says
    that iopub was not yet connected when the status went by: then the question is put once more.
    """

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._session = kernel.session.clone()
        self._asked: set[str] = set()
        self._cells: set[str] = set()
        self._done = False
        self._date = b""
        self._shell = kernel.connect_shell()
        self._shell.on_recv(self._on_reply)
        self._known = self._kernel._activity_stream._recv_callback  # noqa: SLF001 - stock's own, called first
        self._kernel._activity_stream.on_recv(self._on_iopub)  # noqa: SLF001
        self._ask()

    def _ask(self) -> None:
        if self._done or self._shell.closed():
            return
        self._asked.add(self._session.send(self._shell, "kernel_info_request")["header"]["msg_id"])

    def _on_reply(self, _parts: list[bytes]) -> None:
        self._kernel.loop.call_later(_AGAIN_S, self._ask)

    def _on_iopub(self, parts: list[bytes]) -> None:
        self._known(parts)
        _, frames = self._session.feed_identities(parts)
        message = self._session.deserialize(frames)
        if message["header"]["msg_type"] != "status":
            return
        self._date = spool.date(frames[1])
        parent, state = message["parent_header"], message["content"]["execution_state"]
        if parent.get("msg_id") in self._asked:
            if state == "idle":
                self._finish()
        elif parent.get("msg_type") == "execute_request":
            (self._cells.add if state == "busy" else self._cells.discard)(parent["msg_id"])

    def _finish(self) -> None:
        if not self._cells:
            self._kernel.execution_state = "idle"
            if self._date:
                self._kernel.loop.add_callback(death_notice.end_missed_cells, self._kernel, self._date.decode())
        self._done = True
        self._shell.on_recv(None)
        self._kernel.loop.call_later(_AGAIN_S, self._shell.close)  # it may have an event under way
        stream = self._kernel._activity_stream  # noqa: SLF001
        if stream is not None and not stream.closed():
            stream.on_recv(self._known)


def watch(kernels: Iterable[Kernel]) -> None:
    """Start the restarter and the control socket of each kernel. In the event loop, after activity is watched."""
    for kernel in kernels:
        kernel.start_restarter()
        if kernel._restarter is not None:  # noqa: SLF001 - Jupyter gives no other way
            # A kernel that dies in its first 10 s gets new ports: an adopted one is past that.
            kernel._restarter._initial_startup = False  # noqa: SLF001
        kernel._connect_control_socket()  # noqa: SLF001 - as after a start
        IdleWatch(kernel)
