"""One kernel as Jupyter sees it: Jupyter's own manager, with our provisioner, ipc sockets, and a cause of death."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from jupyter_client.ioloop.restarter import AsyncIOLoopKernelRestarter
from jupyter_server.services.kernels.kernelmanager import ServerKernelManager
from tornado import web
from tornado.ioloop import IOLoop
from traitlets import Dict, Enum, HasTraits, Integer, Unicode

from jupyterd.environments import facts
from jupyterd.launch import deaths, kernel_environment, launcher, registry, user_manager, user_unit
from jupyterd.launch.kernelspec import METADATA, PREFIX
from jupyterd.launch.user_environment import user_environment
from jupyterd.launch.user_unit import LaunchFailed
from jupyterd.linux import files
from jupyterd.linux.proc import Identity
from jupyterd.protocol import spool
from jupyterd.server.kernels import death_notice
from jupyterd.server.kernels.provisioner import EndedAtStart, Provisioner

_ENVIRONMENT_S = 600.0
_START_S = 60.0
"""A kernel that has been silent for longer than this has started: some say nothing before they are asked."""
_SOCKET_PATH_MAX = 107 - len("/123456789012-10")


class CannotStart(web.HTTPError):
    """A kernel cannot start. `str` and log message are the bare sentence, because the notebook shows either of them."""

    is_sentence = True
    """For the log (logs.Sentences)."""
    kernelspec: str = ""
    """The directory of its kernelspec, if its process was started and ended."""

    def __str__(self) -> str:
        return self.get_message() or ""


class KernelPaths(HasTraits):
    """The traits of both managers, set in the generated configuration under "KernelManager"."""

    records_dir = Unicode(help="Paths.kernel_records").tag(config=True)
    sockets_dir = Unicode(help="Paths.kernel_sockets: connection files and ipc sockets").tag(config=True)
    spool_dir = Unicode(help="Paths.spool: what kernels said while nobody listened").tag(config=True)
    spool_max_bytes = Integer(spool.MAX_BYTES, help="Of one kernel's spool").tag(config=True)
    launcher = Enum(["user-unit", "detached"], default_value="detached", help="Where kernels live").tag(config=True)
    memory_max = Unicode(help="MemoryMax= of each kernel; empty: none").tag(config=True)
    memory_high = Unicode(help="MemoryHigh= of each kernel; empty: none").tag(config=True)
    cpu_weight = Integer(100, help="CPUWeight= of each kernel").tag(config=True)
    login_shell = Enum(
        ["login", "interactive", "none"], default_value="none", help="Whose environment kernels get"
    ).tag(config=True)
    gpu = Enum(["all", "freest", "none"], default_value="all", help="Which GPUs a kernel sees").tag(config=True)
    gpu_socket = Unicode(help="SamplerPaths.socket; empty: GPUs are not looked at").tag(config=True)
    variables = Dict(help="[kernels.env]: variables of each kernel").tag(config=True)
    tasks_max = Integer(0, help="TasksMax= of each kernel; 0: the system's own").tag(config=True)

    open_files = Integer(0, help="Soft limit of detached kernels (linux/proc.py); 0: the server's").tag(config=True)

    @property
    def limits(self) -> dict[str, str]:
        """The limits as systemd properties: name -> value."""
        told = {"MemoryMax": self.memory_max, "MemoryHigh": self.memory_high, "CPUWeight": str(self.cpu_weight)}
        told["TasksMax"] = str(self.tasks_max or "")
        return {name: value for name, value in told.items() if value}


class Restarter(AsyncIOLoopKernelRestarter):
    """Announces why a kernel died, and starts it again; not one that was stopped on purpose, nor one that has never
    said a word, nor where none can be started: that one is dead, as after stock's last attempt.
    """

    _announced: Identity | None = None
    """The process whose end was announced last."""
    _pidfd: int | None = None
    """Of the process that is watched: a copy, because the provisioner closes its own."""
    _polling = False

    def start(self) -> None:
        """jupyter_client's hook. Its end is noticed by pidfd, at once; stock looks every 3 s."""
        super().start()
        self._watch()

    def stop(self) -> None:
        """jupyter_client's hook."""
        super().stop()
        self._unwatch()

    def _watch(self) -> None:
        ours = self.kernel_manager.provisioner
        if self._pidfd is None and isinstance(ours, Provisioner) and (pidfd := ours.copy_pidfd()) is not None:
            self._pidfd = pidfd
            self.loop.add_handler(pidfd, self._exited, IOLoop.READ)

    def _unwatch(self) -> None:
        if self._pidfd is not None:
            self.loop.remove_handler(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None

    def _exited(self, _fd: int, _events: int) -> None:
        self._unwatch()
        self.loop.add_callback(self.poll)

    async def poll(self) -> None:  # type: ignore[override]  # as in the class above
        """jupyter_client's hook, every 3 s, and when the process has exited."""
        if self._polling or self._pcallback is None:  # or it was stopped meanwhile
            return
        self._polling = True
        try:
            await self._poll()
        finally:
            self._polling = False

    async def _poll(self) -> None:
        kernel = self.kernel_manager
        if getattr(kernel.parent, "retired", False):
            return
        ours = kernel.provisioner
        if kernel.shutting_down:
            return
        if not isinstance(ours, Provisioner) or await kernel.is_alive():
            await super().poll()
            return
        at_start = kernel.never_spoke
        restarts = not ours.stopped_on_purpose() and not at_start and await asyncio.to_thread(ours.can_restart)
        if ours.record is not None and ours.record.process != self._announced:
            self._announced = ours.record.process
            cause = await asyncio.to_thread(ours.cause)
            if at_start:
                cause = deaths.cause_at_start(cause, ours.words())
                kernel.tell_pages(f"The kernel {ours.record.name} ended: {cause}")
            await death_notice.announce(kernel, ours.record, cause, restarted=restarts)
        if kernel.shutting_down or await kernel.is_alive():
            return  # somebody was faster
        if restarts and await self._restarted():
            return
        self.give_up()

    def give_up(self) -> None:
        """Tell the tabs and the manager that the kernel is dead."""
        self._fire_callbacks("dead")
        self.stop()

    async def _restarted(self) -> bool:
        """Whether stock has started it again; False after its last attempt too, of which it has told by itself."""
        try:
            await super().poll()
        except Exception as error:  # noqa: BLE001 - whatever it is, there is no kernel now
            self.log.error("Kernel %s cannot be restarted: %s", self.kernel_manager.kernel_id, error)  # noqa: TRY400
            self.kernel_manager.tell_pages(f"A kernel cannot be restarted: {error}")
            return False
        return True


class Kernel(KernelPaths, ServerKernelManager):
    """Jupyter's manager of one kernel."""

    restarter_class = Restarter
    provisioner: Any = None
    _kernel_info_future: Any
    _activity_stream: Any
    _heard: Identity | None = None
    """The process that has published something, the last one if there were several."""

    def heard(self) -> None:
        """The process that runs now has published something (or was adopted)."""
        record = getattr(self.provisioner, "record", None)
        self._heard = None if record is None else record.process

    @property
    def never_spoke(self) -> bool:
        """Whether the process of this kernel, launched a moment ago, has published nothing: not even that it starts."""
        record = getattr(self.provisioner, "record", None)
        return record is not None and record.process != self._heard and time.time() - record.created < _START_S

    def tell_pages(self, text: str) -> None:
        """Show a sentence about this kernel on every page that is open."""
        tell = getattr(self.parent, "tell_pages", None)
        if tell is not None:
            tell(text, str(self.kernel_id))

    def __del__(self) -> None:
        """Stock unlinks the connection file here: a kernel that outlives this object would be lost."""
        self._close_control_socket()

    async def _async_pre_start_kernel(self, **kw: Any) -> tuple[list[str], dict[str, Any]]:  # noqa: ANN401 - Jupyter's
        self.kernel_id = self.kernel_id or kw.pop("kernel_id", None) or str(uuid.uuid4())
        kw.pop("kernel_id", None)
        spec: Any = self.kernel_spec
        if self.provisioner is None and "kernel_provisioner" not in spec.metadata:
            self._choose_transport(str(spec.metadata.get("jupyterd", {}).get("transport", "ipc")))
            self.provisioner = Provisioner(kernel_id=self.kernel_id, kernel_spec=spec, parent=self)
        try:
            own = spec.metadata.get(METADATA, {})
            if environment := own.get("environment"):
                await self._ensure_environment(Path(environment))
            if prefix := own.get(PREFIX):
                await self._expect_environment(str(prefix))
            return await super()._async_pre_start_kernel(**kw)
        except LaunchFailed as error:
            raise CannotStart(503, str(error)) from error

    async def _async_launch_kernel(self, kernel_cmd: list[str], **kw: Any) -> None:  # noqa: ANN401 - Jupyter's
        try:
            await super()._async_launch_kernel(kernel_cmd, **kw)
        except LaunchFailed as error:
            await self._async_cleanup_resources()
            refusal = CannotStart(503, str(error))
            if isinstance(error, EndedAtStart):
                refusal.kernelspec = str(getattr(self.kernel_spec, "resource_dir", ""))
            raise refusal from error

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        """Stock takes "python" in a foreign kernelspec for the server's own interpreter; the account's is meant."""
        made: list[str] = super().format_kernel_cmd(extra_arguments)
        spec: Any = self.kernel_spec
        meant = spec.argv[0]
        if "/" not in meant:
            made[0] = meant
        found = shutil.which(made[0], path=user_environment(self._start_env())["PATH"])
        if found is None:
            raise LaunchFailed(f"kernel {self.kernel_name}: its program {meant} is not there; see {spec.resource_dir}")
        made[0] = found
        return made

    def _start_env(self) -> dict[str, str]:
        arguments: Any = self._launch_args
        return dict((arguments or {}).get("env") or os.environ)

    def _choose_transport(self, transport: str) -> None:
        if transport == "tcp":
            return
        directory = Path(self.sockets_dir)
        if len(str(directory)) > _SOCKET_PATH_MAX:
            raise LaunchFailed(f"the path {directory} is too long for sockets; choose a shorter state directory")
        try:
            files.private_directory(directory)
        except OSError as error:
            raise LaunchFailed(f"the kernels' sockets cannot be created: {error}") from error
        self.transport = "ipc"
        self.ip = str(directory / launcher.socket_stem(str(self.kernel_id)))

    async def _expect_environment(self, prefix: str) -> None:
        """LaunchFailed, with what to type, for an environment in which nothing can start any more."""
        there = await asyncio.to_thread(facts.look_at, Path(prefix))
        if there is None:
            raise LaunchFailed(f"the environment {prefix} is gone; type: jupyterd env list")
        if there.trouble:
            raise LaunchFailed(there.refusal)

    async def _ensure_environment(self, environment: Path) -> None:
        """Make the environment if it is missing, in a process: pip may take minutes, and the event loop must go on."""
        if kernel_environment.is_ready(environment):
            return
        self.log.info("The Python environment of notebooks does not exist yet; making it in %s", environment)
        argv = [sys.executable, "-I", "-m", "jupyterd", "kernel-env", "--environment", str(environment)]
        env, output = user_environment(os.environ), Path(self.records_dir) / registry.ENVIRONMENT_LOG
        if self.launcher == "user-unit":  # out of the service's sandbox: it may lie anywhere in the account's home
            if (problem := user_manager.trouble()) is not None:
                raise LaunchFailed(problem)
            argv, env = user_unit.once(argv, env, output, _ENVIRONMENT_S), launcher.manager_environment(env)
        with output.open("wb") as words:
            process = await asyncio.create_subprocess_exec(
                *argv, env=env, stdin=asyncio.subprocess.DEVNULL, stdout=words, stderr=words
            )
        try:
            await asyncio.wait_for(process.wait(), _ENVIRONMENT_S)
        except TimeoutError as error:
            process.kill()
            raise LaunchFailed(
                f"the Python environment of notebooks was not ready after {_ENVIRONMENT_S:.0f} s; "
                "is the network there? type: jupyterd kernel-env"
            ) from error
        told = output.read_text(encoding="utf-8", errors="replace").strip()
        if not kernel_environment.is_ready(environment):
            raise LaunchFailed(f"the Python environment of notebooks cannot be made. {told} (see also: {output})")
        output.unlink()
