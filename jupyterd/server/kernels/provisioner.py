"""jupyter_client's provisioner: the launcher starts the kernel, which is no child of this server and outlives it.

So its state is read from a pidfd, never by waitpid.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from jupyter_client.connect import LocalPortCache
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from jupyterd.launch import deaths, kernel_log, launcher, registry, user_manager
from jupyterd.launch.kernelspec import METADATA, PREFIX
from jupyterd.launch.registry import Entry, Setup
from jupyterd.launch.user_environment import user_environment
from jupyterd.launch.user_unit import WRAPPER, LaunchFailed
from jupyterd.linux import proc
from jupyterd.protocol import kernel_unit
from jupyterd.server.kernels import gpu_choice

_WAIT_S = 0.05
_WRAPPER_SAYS = "jupyterd: "
_PATIENCE_S = 0.5
_FIRST_SIGN_S, _FIRST_LOOK_S = 3.0, 0.01
"""How long a start is held for the kernel's first socket: what ends before that is told to the page that asked."""
_OF_THE_SPEC = {"memory_max": "MemoryMax", "memory_high": "MemoryHigh", "cpu_weight": "CPUWeight"} | {
    "tasks_max": "TasksMax"
}


class EndedAtStart(LaunchFailed):
    """The kernel's process was started, and ended before it had bound a socket."""


class Provisioner(LocalProvisioner):
    """One kernel's process: a registry entry and a pidfd, where jupyter_client's own has a Popen."""

    parent: Any
    """The Kernel that it belongs to."""
    record: Entry | None = None
    _pidfd: int | None = None
    _found_dead: bool = False
    _oom_kills: int | None = None
    _base: dict[str, str] = {}  # noqa: RUF012 - replaced, never changed
    """The account's environment as the service has it, with the notebook's path."""
    _log_begin: int = 0
    """Where the words of this process begin in the kernel's log."""

    # --- what jupyterd adds -------------------------------------------------------------------------------------

    def attach(self, record: Entry, pidfd: int | None) -> None:
        """Take over a kernel that was launched or is adopted. `pidfd` None: it has died."""
        self._let_go()
        self.record, self._pidfd, self._found_dead = record, pidfd, pidfd is None
        self.cwd = record.cwd
        self.pid = self.pgid = record.process.pid if record.process else None
        self._oom_kills = None if pidfd is None else proc.oom_kills()

    def adopt_ports(self) -> None:
        """For TCP: keep the ports at a restart, or open websockets would stay connected to the old ones."""
        km = self.parent
        self.connection_info = km.get_connection_info()
        if km.transport == "tcp":
            self.ports_cached = True
            LocalPortCache.instance().currently_used_ports.update(km.ports)

    @property
    def directory(self) -> Path:
        """The launcher's registry, a directory."""
        return Path(self.parent.records_dir)

    def stopped_on_purpose(self) -> str:
        """The note that `jupyterd kernels stop` leaves, "" if there is none."""
        return registry.read_why(self.directory, str(self.kernel_id))

    def cause(self) -> str:
        """Why it ended, as a phrase; call it after the end. Blocks while systemd is asked, a few milliseconds."""
        if self.record is None:
            return ""
        why = self.stopped_on_purpose()
        process = self.record.process if self.record.unit is not None and not why else None
        if process is not None and user_manager.ended_with_it(process):
            return f"{user_manager.outage().text}, and the kernel, which lived in it, ended with it"
        now = proc.oom_kills()
        oom = None if None in {now, self._oom_kills} else now != self._oom_kills
        return deaths.cause(launcher.ending(self.directory, self.record, _PATIENCE_S), oom=oom, why=why)

    def can_restart(self) -> bool:
        """Whether it could be launched again now. Blocks for some milliseconds."""
        return self.record is not None and (self.record.unit is None or user_manager.accepts())

    def words(self) -> list[str]:
        """The last lines that this process wrote, as kernel_log.last_lines gives them."""
        return kernel_log.last_lines(self.directory, str(self.kernel_id), self._log_begin)

    def copy_pidfd(self) -> int | None:
        """A pidfd of the process, the caller's to close; None where there is none."""
        return None if self._pidfd is None else os.dup(self._pidfd)

    def _let_go(self) -> None:
        self._found_dead = False
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    # --- Jupyter's hooks ----------------------------------------------------------------------------------------

    @property
    def has_process(self) -> bool:
        """jupyter_client's hook: whether there is a process, or one that has died and was not waited for."""
        return self._pidfd is not None or self._found_dead

    async def poll(self) -> int | None:
        """jupyter_client's hook: None while it runs, else a number without a meaning (see `cause`)."""
        if self._pidfd is None:
            return 0
        if not proc.has_exited(self._pidfd):
            self._oom_kills = proc.oom_kills()
            if self.record is not None:
                kernel_log.trim(self.directory, self.record.id)
            return None
        return 1

    async def wait(self) -> int | None:
        """jupyter_client's hook: return after the kernel's end. Callers bring their own deadline."""
        while (code := await self.poll()) is None:  # noqa: ASYNC110 - it answers at once in nearly every call
            await asyncio.sleep(_WAIT_S)
        self._let_go()
        return code

    async def send_signal(self, signum: int) -> None:
        """jupyter_client's hook: signal its process group. A process that is gone is no error, or an automatic restart
        would fail.
        """
        if self._pidfd is not None and self.record is not None and self.record.process is not None:
            launcher.signal_group(self.record.process, signum)

    async def kill(self, restart: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - Jupyter's signature
        """Jupyter's hook."""
        await self.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - Jupyter's signature
        """Jupyter's hook."""
        await self.send_signal(signal.SIGTERM)

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401 - Jupyter's signature
        """jupyter_client's hook: the kernel gets the account's environment and the notebook's path (JPY_SESSION_NAME),
        nothing of the server's.
        """
        given = kwargs.get("env") or dict(os.environ)
        self._base = user_environment(given)
        if session := given.get("JPY_SESSION_NAME"):
            self._base["JPY_SESSION_NAME"] = session
        kwargs["env"] = dict(self._base)
        return await super().pre_launch(**kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:  # noqa: ANN401 - Jupyter's signature
        """jupyter_client's hook: launch it, in a thread: systemd-run and the wrapper take some 30 ms. LaunchFailed."""
        if self.record is not None:
            await asyncio.to_thread(launcher.clear, self.record)
        await self._choose_gpu(kwargs["env"])
        ordered = replace(
            self._order(cmd, str(kwargs.get("cwd") or Path.home())), setup=self._setup(cmd[0], kwargs["env"])
        )
        self._log_begin = kernel_log.size(self.directory, ordered.id)
        record = await asyncio.to_thread(launcher.launch, self.directory, ordered, self._base)
        self.attach(record, None if record.process is None else proc.open_pidfd(record.process))
        if not await self._comes_up():
            raise EndedAtStart(await self._failed_start(record))
        for line in self.words():
            if line.startswith(_WRAPPER_SAYS):
                self.log.warning("Kernel %s (%s): %s", record.id, record.name, line.removeprefix(_WRAPPER_SAYS))
        return self.connection_info

    async def _choose_gpu(self, env: dict[str, str]) -> None:
        """Into `env`, unless the settings or the kernelspec have said which."""
        km, name = self.parent, gpu_choice.VARIABLE
        wanted = str(self.kernel_spec.metadata.get(METADATA, {}).get("gpu") or km.gpu)
        given = getattr(km.parent, "gpus_given", {})
        given.pop(self.kernel_id, None)
        if wanted not in {"freest", "none"} or name in km.variables or env.get(name) != self._base.get(name):
            return
        if wanted == "none":
            env[name] = gpu_choice.NONE
            return
        frame = await asyncio.to_thread(gpu_choice.last_frame, Path(km.gpu_socket)) if km.gpu_socket else None
        chosen = None if frame is None else gpu_choice.freest(frame, given.values())
        if chosen is None:
            self.log.warning(
                "Kernel %s sees all GPUs: the free memory of none is known%s",
                self.kernel_id, f" ({frame.trouble})" if frame is not None and frame.trouble else "",
            )  # fmt: skip
            return
        env[name] = given[self.kernel_id] = chosen
        self.log.info("Kernel %s sees the GPU %s", self.kernel_id, chosen)

    def _setup(self, program: str, env: dict[str, str]) -> Setup:
        """`env`: the base with the kernelspec's variables in it."""
        km = self.parent
        shell = os.environ.get("SHELL", "") if km.login_shell != "none" else ""
        own = self.kernel_spec.metadata.get(METADATA, {})
        return Setup(
            shell=shell, interactive=km.login_shell == "interactive", variables=dict(km.variables),
            overlay={name: value for name, value in env.items() if self._base.get(name) != value},
            prefix=str(own.get(PREFIX) or _prefix_of(program)),
        )  # fmt: skip

    async def _comes_up(self) -> bool:
        """Wait until it has bound its first socket, or for 3 s after its wrapper, which may wait for a login shell, has
        become the kernel: a slow one may still come. False when it has ended.
        """
        km = self.parent
        until = time.monotonic() + _FIRST_SIGN_S
        while time.monotonic() < until:
            if self._pidfd is None or proc.has_exited(self._pidfd):
                return False
            if _listens(km.transport, km.ip, km.shell_port):
                return True
            await asyncio.sleep(_FIRST_LOOK_S)
            if WRAPPER.name in proc.text(int(self.pid or 0), "cmdline"):
                until = time.monotonic() + _FIRST_SIGN_S
        return True

    async def _failed_start(self, record: Entry) -> str:
        """Why it ended at its start, for the page; the same in the journal, with all its words, and in `status`."""
        words = self.words()
        cause = deaths.cause_at_start(await asyncio.to_thread(self.cause), words)
        for line in words[:-1]:
            self.log.warning("Kernel %s (%s) wrote: %s", record.id, record.name, line)
        with contextlib.suppress(OSError):
            await asyncio.to_thread(deaths.note, self.directory, record, cause)
        await asyncio.to_thread(launcher.forget, self.directory, record)
        self.attach(record, None)
        self.record = None
        return f"kernel {record.name}: {cause}"

    def _order(self, cmd: list[str], cwd: str) -> Entry:
        km = self.parent
        own = self.kernel_spec.metadata.get("jupyterd", {})
        limits = {**km.limits, **{name: str(own[key]) for key, name in _OF_THE_SPEC.items() if key in own}}
        assert self.kernel_id is not None  # noqa: S101 - the manager sets it before any launch
        return Entry(
            id=self.kernel_id, name=km.kernel_name, argv=tuple(cmd), cwd=cwd, connection_file=km.connection_file,
            interrupt_mode=self.kernel_spec.interrupt_mode, created=time.time(),
            unit=kernel_unit.unit_name(self.kernel_id) if km.launcher == "user-unit" else None,
            limits=tuple(sorted(limits.items())), open_files=km.open_files,
        )  # fmt: skip

    async def cleanup(self, restart: bool = False) -> None:  # noqa: FBT001, FBT002 - Jupyter's signature
        """Jupyter's hook. The record stays through a restart: then the next server still knows the kernel's name."""
        await super().cleanup(restart=restart)
        self._let_go()
        if self.record is not None and not restart:
            record, self.record = self.record, None
            await asyncio.to_thread(launcher.forget, self.directory, record)


def _prefix_of(program: str) -> str:
    """The environment of an interpreter: PREFIX/bin/python; "" for a program that is found on PATH."""
    prefix = os.path.dirname(os.path.dirname(program)) if os.path.isabs(program) else ""  # noqa: PTH117, PTH120 - a text
    return "" if prefix == "/" else prefix


def _listens(transport: str, host: str, port: int) -> bool:
    """Whether the kernel has bound this socket: TCP on this machine refuses or accepts at once."""
    if transport == "ipc":
        return Path(f"{host}-{port}").exists()
    with socket.socket() as probe:
        probe.settimeout(_FIRST_LOOK_S)
        return probe.connect_ex((host, port)) == 0
