"""All kernels: adopts those of an earlier server, counts them for the supervisor, leaves them running at the end.

Traits, set in the generated configuration under "KernelManager": see kernel.KernelPaths. `KernelManager.launcher` is
"user-unit" in service and user mode, "detached" in the foreground.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.kernelspec import NATIVE_KERNEL_NAME
from jupyter_server.prometheus.metrics import KERNEL_CURRENTLY_RUNNING_TOTAL
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from tornado.ioloop import IOLoop
from traitlets import default

from jupyterd.launch import launcher, registry
from jupyterd.linux import kept
from jupyterd.protocol.server_channel import KernelCounts
from jupyterd.server.channels.recorder_client import RecorderClient
from jupyterd.server.kernels import adoption, gpu_choice, user_manager_watch
from jupyterd.server.kernels.kernel import CannotStart, Kernel, KernelPaths, Restarter
from jupyterd.server.kernels.kernelspecs import KernelSpecManager
from jupyterd.server.kernels.provisioner import Provisioner
from jupyterd.server.kernels.user_manager_watch import WatchHooks
from jupyterd.server.problems import ProblemReporter
from jupyterd.text import plural

_AGAIN_MS = 20
"""Between two attempts to reach a kernel that has not bound its sockets yet: with libzmq's 100 to 200 ms a start waits
half as long again for nothing, and a restarted kernel's first output is missed."""
_LOCK_TRIES, _LOCK_EVERY_S = 100, 0.01


class KernelManager(KernelPaths, AsyncMappingKernelManager):
    """The value of ServerApp.kernel_manager_class: manages all kernels."""

    retired = False
    """Whether another server looks after the kernels now (core/busy.py)."""
    _lock: int | None = None
    _on_counts: Callable[[KernelCounts], None] | None = None
    _last_counts: KernelCounts | None = None
    _on_kernels: Callable[[dict[str, str]], None] = staticmethod(lambda _: None)
    tell_pages: Callable[..., None] = staticmethod(lambda *_: None)
    """Shows a sentence on every page that is open; set by the application."""

    @default("kernel_manager_class")
    def _default_kernel_manager_class(self) -> str:
        return f"{Kernel.__module__}.{Kernel.__qualname__}"

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 - traitlets passes what it likes
        """Adopts here: the first request would find sessions of kernels that it does not know, and delete them."""
        super().__init__(**kwargs)
        self.gpus_given: dict[str, str] = {}
        """Kernel id -> UUID of the GPU that it was given (gpu_choice.py)."""
        self.context.setsockopt(zmq.RECONNECT_IVL, _AGAIN_MS)
        self.connection_dir = self.sockets_dir
        directory = Path(self.records_dir)
        for each in (directory, Path(self.sockets_dir)):
            kept.directory(each, getattr(self.parent, "damaged", self.log.warning))
        self._take_lock(directory)
        self.problems: ProblemReporter = getattr(self.parent, "problems", None) or ProblemReporter()
        self.recorder = RecorderClient(
            self.log, sockets=Path(self.sockets_dir), directory=Path(self.spool_dir), records=directory,
            max_bytes=self.spool_max_bytes, as_unit=self.launcher == "user-unit", kernels=lambda: len(self._kernels),
            problems=self.problems,
        )  # fmt: skip
        if self.launcher == "user-unit":
            told = WatchHooks(self.problems, self._manager_ended, self.recorder.go_home, self._tell_pages)
            IOLoop.current().add_callback(user_manager_watch.watch, told)
        self._adopt(directory)

    def _take_lock(self, directory: Path) -> None:
        """`jupyterd kernels` holds it for milliseconds, and for the length of a restart without a server."""
        for _ in range(_LOCK_TRIES):
            try:
                self._lock = registry.hold_as_server(directory, getattr(self.parent, "damaged", self.log.warning))
            except OSError as error:
                self.log.warning("The kernels in %s are adopted without a lock: %s", directory, kept.unwritable(error))
                return
            if self._lock is not None:
                return
            time.sleep(_LOCK_EVERY_S)
        self.log.warning("Another program is working on the kernels in %s; they are adopted anyway", directory)
        IOLoop.current().call_later(_LOCK_TRIES * _LOCK_EVERY_S, self._take_lock, directory)

    def _adopt(self, directory: Path) -> None:
        found = adoption.look(directory)
        for sentence in found.damaged:
            getattr(self.parent, "damaged", self.log.warning)(sentence)
        for sentence in found.told:
            self.log.warning("%s", sentence[:1].upper() + sentence[1:])
        make = partial(
            self.kernel_manager_factory, parent=self, log=self.log, kernel_spec_manager=self.kernel_spec_manager
        )
        adopted = []
        for record, pidfd in found.kernels:
            try:
                kernel = adoption.take(make, record, pidfd)
            except (OSError, ValueError, KeyError) as error:
                self.log.error("Kernel %s (%s) cannot be adopted: %s", record.id, record.name, error)  # noqa: TRY400
                continue
            self._kernels[record.id] = kernel
            self._kernel_connections[record.id] = 0
            self._kernel_ports[record.id] = kernel.ports
            if value := record.setup.overlay.get(gpu_choice.VARIABLE):
                self.gpus_given[record.id] = value
            KERNEL_CURRENTLY_RUNNING_TOTAL.labels(type=kernel.kernel_name).inc()
            adopted.append(kernel)
        if adopted:
            self.log.info("Adopted %s of an earlier server", plural(len(adopted), "kernel"))
            IOLoop.current().add_callback(self._watch_adopted, adopted)

    async def _async_start_kernel(self, **kwargs: Any) -> str:  # noqa: ANN401 - Jupyter's signature
        """Jupyter's hook: the recorder is started beside the first kernel, and there before it says anything."""
        self.recorder.start()
        name = kwargs.get("kernel_name") or self.default_kernel_name
        if isinstance(self.kernel_spec_manager, KernelSpecManager) and name != NATIVE_KERNEL_NAME:
            await self.kernel_spec_manager.search()  # a page that was open before may ask for a new environment
        try:
            started: str = await super()._async_start_kernel(**kwargs)
        except CannotStart as error:
            specs, where = self.kernel_spec_manager, error.kernelspec
            if not isinstance(specs, KernelSpecManager) or not specs.failed_start(where, str(error)):
                raise
            self.log.warning("The kernelspec in %s cannot start; jupyterd's own is used in its place: %s", where, error)
            started = await super()._async_start_kernel(**kwargs)
        return started

    start_kernel = _async_start_kernel  # type: ignore[assignment]  # as in the class above

    async def _async_restart_kernel(self, kernel_id: str, now: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002
        """Jupyter's hook: a kernel that cannot be started again is dead for every tab, and no longer there."""
        kernel = self._kernels.get(kernel_id)
        try:
            return await super()._async_restart_kernel(kernel_id, now=now)
        except CannotStart as error:
            if kernel is not None and isinstance(restarter := kernel._restarter, Restarter):  # noqa: SLF001
                restarter.give_up()
            self.tell_pages(f"The kernel cannot be restarted: {error}", kernel_id)  # Jupyter's answer does not say why
            raise

    restart_kernel = _async_restart_kernel  # type: ignore[assignment]  # as in the class above

    def start_buffering(self, kernel_id: str, session_key: str, channels: dict[str, Any]) -> None:  # noqa: ARG002
        """Jupyter's hook, when the last tab goes: stock keeps its messages in memory; the recorder has them all."""
        for stream in channels.values():
            if not stream.closed():
                stream.on_recv(None)
                stream.close()

    def _watch_adopted(self, adopted: list[Kernel]) -> None:
        """Stock does this at the end of a start."""
        self.recorder.start()
        still = [kernel for kernel in adopted if self._kernels.get(kernel.kernel_id) is kernel]
        for kernel in still:
            self.start_watching_activity(kernel.kernel_id)
        adoption.watch(still)
        for kernel in still:
            self.add_restart_callback(kernel.kernel_id, partial(self._handle_kernel_died, kernel.kernel_id), "dead")
        if not self._initialized_culler:  # else it would begin with the first start of another kernel
            self.initialize_culler()

    def _handle_kernel_died(self, kernel_id: str) -> None:
        """jupyter_client's hook: a kernel died and is not restarted. Removes its files, so that no server adopts it."""
        kernel = self._kernels.get(kernel_id)
        super()._handle_kernel_died(kernel_id)
        provisioner = getattr(kernel, "provisioner", None)
        if kernel is not None:
            KERNEL_CURRENTLY_RUNNING_TOTAL.labels(type=kernel.kernel_name).dec()
        if isinstance(provisioner, Provisioner) and provisioner.record is not None:
            record, provisioner.record = provisioner.record, None
            IOLoop.current().run_in_executor(None, launcher.forget, Path(self.records_dir), record)

    # --- the user manager, and what pages are told ------------------------------------------------------------

    def _manager_ended(self) -> None:
        """The user manager has ended: every kernel with it, some of them in a moment."""
        for kernel in self._kernels.values():
            if isinstance(restarter := kernel._restarter, Restarter):  # noqa: SLF001
                IOLoop.current().add_callback(restarter.poll)

    def _tell_pages(self, text: str) -> None:
        self.tell_pages(text)

    # --- counts -------------------------------------------------------------------------------------------------

    def report_counts(self, report: Callable[[KernelCounts], None] | None) -> None:
        """Call `report` with the counts now and at each change; None: stop that."""
        self._on_counts, self._last_counts = report, None
        self._count()

    def start_watching_activity(self, kernel_id: str) -> None:
        """jupyter_server's hook: a kernel was started or adopted."""
        super().start_watching_activity(kernel_id)
        kernel = self._kernels[kernel_id]
        kernel.observe(self._count, "execution_state")
        stream = kernel._activity_stream  # noqa: SLF001 - Jupyter gives no other way to hear that it speaks
        known = stream._recv_callback  # noqa: SLF001

        def heard(parts: list[bytes]) -> None:
            first = kernel.never_spoke
            kernel.heard()
            known(parts)
            if first:
                self._count()

        stream.on_recv(heard)
        self._count()
        self._show()

    def remove_kernel(self, kernel_id: str) -> Any:  # noqa: ANN401 - Jupyter's own
        """jupyter_client's hook: a kernel is gone, whatever the cause."""
        removed = super().remove_kernel(kernel_id)
        self.gpus_given.pop(kernel_id, None)
        self._count()
        self._show()
        return removed

    def report_kernels(self, show: Callable[[dict[str, str]], None]) -> None:
        """Call `show` with the connection file of each kernel, by id, now and at each change."""
        self._on_kernels = show
        self._show()

    def _show(self) -> None:
        self._on_kernels({name: each.connection_file for name, each in self._kernels.items()})

    def pids(self) -> list[int]:
        """Of every kernel's process that is known."""
        found = [getattr(each.provisioner, "pid", None) for each in self._kernels.values()]
        return [pid for pid in found if isinstance(pid, int)]

    def counts(self) -> KernelCounts:
        """A kernel whose state is not known yet, as one that was adopted a moment ago, counts as neither; so does one
        that has started and was never asked anything: Jupyter calls that "starting" for ever.
        """
        states = {name: getattr(each, "execution_state", None) for name, each in self._kernels.items()}
        busy = sum(
            state in ("busy", "restarting") or (state == "starting" and self._kernels[name].never_spoke)
            for name, state in states.items()
        )
        return KernelCounts(len(states), busy, tuple(name for name, state in states.items() if state == "idle"))

    def _count(self, _change: object = None) -> None:
        counts = self.counts()
        if counts != self._last_counts and self._on_counts is not None:
            self._last_counts = counts
            self._on_counts(counts)

    def let_go(self) -> None:
        """Retired (core/busy.py): another server restarts kernels and talks to the recorder. In a thread,
        while the event loop may stand still; `leave` follows.
        """
        self.retired = True
        self.recorder.hang_up()

    # --- the server ends ----------------------------------------------------------------------------------------

    def leave(self) -> None:
        """Release every kernel without ending it: the next server adopts them. Kernels that were stopped before this
        server noticed are removed from the registry here.
        """
        self.recorder.close()
        for kernel_id, kernel in list(self._kernels.items()):
            kernel.stop_restarter()
            ours = kernel.provisioner
            if isinstance(ours, Provisioner) and ours.record is not None and ours.stopped_on_purpose():
                launcher.forget(Path(self.records_dir), ours.record)
            with contextlib.suppress(Exception):  # nothing here may keep a server from leaving
                self.stop_watching_activity(kernel_id)
                self.stop_buffering(kernel_id)

    async def shutdown_all(self, now: bool = False) -> None:  # type: ignore[override]  # noqa: ARG002, FBT001, FBT002
        """Jupyter's hook for its own end: kernels stay. `jupyterd kernels stop --all` ends them."""
        self.leave()

    _async_shutdown_all = shutdown_all
