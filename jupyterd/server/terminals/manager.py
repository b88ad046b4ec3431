"""Terminals with the account's full rights, outside of this server: with tmux they outlive it and are adopted.

Without tmux they end with the server, as in any Jupyter. Traits, set in the generated configuration under
"AccountTerminalManager".
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import shutil
import time
from pathlib import Path
from typing import Any

from jupyter_server._tz import utcnow
from jupyter_server_terminals.terminalmanager import TerminalManager
from tornado import web
from tornado.ioloop import IOLoop
from traitlets import Enum, Integer, Unicode

from jupyterd.launch import launcher, registry, stop, tmux, user_unit
from jupyterd.launch.registry import Entry, Setup
from jupyterd.launch.user_environment import user_environment
from jupyterd.launch.user_unit import LaunchFailed
from jupyterd.linux import files, kept, proc
from jupyterd.server.kernels.kernelspecs import KernelSpecManager
from jupyterd.server.terminals.pty import PtyTerminal

_NAME = re.compile(r"[A-Za-z0-9_]{1,13}")
"""It becomes part of the name of a unit and of a socket, whose path may have 107 bytes (unix(7))."""
_SHOW_TROUBLE_S = 10.0
_LAUNCH_S = 25.0


class AccountTerminalManager(TerminalManager):
    """The value of TerminalsExtensionApp.terminal_manager_class."""

    records_dir = Unicode(help="Paths.terminal_records").tag(config=True)
    sockets_dir = Unicode(help="Paths.terminal_sockets").tag(config=True)
    launcher = Enum(["user-unit", "detached"], default_value="detached", help="Where terminals live").tag(config=True)
    login_shell = Enum(["login", "interactive", "none"], default_value="none", help="As of kernels").tag(config=True)
    open_files = Integer(0, help="Soft limit of detached shells (linux/proc.py); 0: the server's").tag(config=True)
    terminals: dict[str, Any]

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 - traitlets passes what it likes
        super().__init__(**kwargs)
        for directory in (self.records_dir, self.sockets_dir):
            kept.directory(Path(directory), self.log.warning)
        self._find_again()

    # --- terminado's hooks --------------------------------------------------------------------------------------

    def make_term_env(self, *args: Any, **kwargs: Any) -> dict[str, str]:  # noqa: ANN401 - terminado's own
        """The environment of a new shell: nothing of the server's own."""
        return user_environment(super().make_term_env(*args, **kwargs))

    def new_named_terminal(self, **kwargs: Any) -> tuple[str, PtyTerminal]:  # noqa: ANN401 - terminado's own
        """Make a terminal and return at once. It is launched in the background; a problem is written into it."""
        name = str(kwargs.get("name") or self._next_available_name())
        if not _NAME.fullmatch(name):
            raise web.HTTPError(400, "A terminal's name is made of 1 to 13 letters, digits and _")
        if name in self.terminals:
            return name, self.terminals[name]
        options = {**self.term_settings, "shell_command": self.shell_command, **kwargs}
        env = self.make_term_env(**options)
        term = PtyTerminal(name, _keeper(env["PATH"]))
        term.last_activity = utcnow()
        term.open()
        self.terminals[name] = term
        self.start_reading(term)
        cwd = str(options.get("cwd") or getattr(self.parent, "root_dir", "") or Path.home())
        IOLoop.current().add_callback(self._launch, term, list(options["shell_command"]), cwd, env)
        return name, term

    def get_terminal(self, url_component: Any = None) -> PtyTerminal:  # noqa: ANN401 - terminado's
        """The terminal for a tab that opens. tmux redraws the screen and its scrollback for each tab."""
        term: PtyTerminal = self.terminals[url_component]
        if term.keeper is not None and term.record is not None:
            self._look(term)
        return term

    def on_eof(self, ptywclients: PtyTerminal) -> None:  # type: ignore[override]
        """The other end was closed: a shell ended, or tmux's client did (then the shell may still run)."""
        self._stop_reading(ptywclients)
        ptywclients.leave()
        if ptywclients.record is None:
            self.terminals.pop(ptywclients.term_name, None)
        elif ptywclients.keeper is None:
            ptywclients.kill()

    async def terminate_all(self) -> None:
        """Jupyter's hook when the server ends: end the terminals that tmux does not keep."""
        for term in list(self.terminals.values()):
            if term.keeper is None:
                await term.terminate(force=True)

    kill_all = terminate_all

    # --- what jupyterd adds -------------------------------------------------------------------------------------

    async def _launch(self, term: PtyTerminal, shell: list[str], cwd: str, env: dict[str, str]) -> None:
        try:
            record = await asyncio.to_thread(self._start, term, shell, cwd, env)
        except (LaunchFailed, OSError) as error:
            self.log.error("Terminal %s cannot start: %s", term.term_name, error)  # noqa: TRY400 - a sentence
            os.write(term.ptyproc.far_end, f"jupyterd: {error}\r\n".encode())
            IOLoop.current().call_later(_SHOW_TROUBLE_S, term.ptyproc.let_go)
            term.launched.set()
            return
        self._watch(term, record)
        if term.keeper is None:
            term.ptyproc.let_go()
        elif term.clients:
            self._look(term)

    def _start(self, term: PtyTerminal, shell: list[str], cwd: str, env: dict[str, str]) -> Entry:
        """Launch the shell. Blocks, so it is called in a thread."""
        directory = Path(self.records_dir)
        name = f"{term.term_name}-{secrets.token_hex(2)}"  # what is left of an earlier one may have the plain name
        setup, shell = self._setup(shell)
        argv, tty = tuple(shell), term.ptyproc.device
        if term.keeper is not None:
            socket, configuration = Path(self.sockets_dir, name), directory / f"{name}.conf"
            socket.unlink(missing_ok=True)
            files.replace(configuration, tmux.configuration(shell, cwd).encode())
            argv, tty = tmux.server(term.keeper, socket, configuration), ""
        else:
            found = shutil.which(argv[0], path=env["PATH"])
            argv = (found or argv[0], *argv[1:])
        unit = user_unit.terminal_unit_name(name) if self.launcher == "user-unit" else None
        order = Entry(
            id=name, name=term.term_name, argv=argv, cwd=cwd, connection_file="", interrupt_mode="signal", unit=unit,
            created=time.time(), kind="terminal", tty=tty, open_files=self.open_files, setup=setup,
        )  # fmt: skip
        return launcher.launch(directory, order, env, _LAUNCH_S)

    def _setup(self, shell: list[str]) -> tuple[Setup, list[str]]:
        """What the wrapper does before the shell, and the shell: the wrapper reads the files of a login, or the shell
        would read them after it and set another PATH than that of the notebooks' environment.
        """
        if self.login_shell == "none" or shell[1:] != ["-l"]:
            return Setup(), shell
        specs = getattr(self.parent, "kernel_spec_manager", None)
        prefix = specs.default_environment if isinstance(specs, KernelSpecManager) else ""
        return Setup(shell=shell[0], interactive=self.login_shell == "interactive", prefix=prefix), shell[:1]

    def _look(self, term: PtyTerminal) -> None:
        if term.ptyproc is None:  # an earlier server's, or its looker was ended: then its tabs were told
            term.clients = []
            term.open()
            self.start_reading(term)
        elif term.is_looked_at:
            self._stop_reading(term)
            size = term.ptyproc.getwinsize()
            term.leave()
            term.open(*size)
            self.start_reading(term)
        env = {**user_environment(os.environ), "TERM": "xterm-256color"}
        term.look(Path(self.sockets_dir), env)

    def _stop_reading(self, term: PtyTerminal) -> None:
        fd = term.ptyproc.fd
        del self.ptys_by_fd[fd]
        IOLoop.current().remove_handler(fd)

    def _find_again(self) -> None:
        """Adopt the terminals of an earlier server; drop the records of those that ended or were not kept."""
        found, problems = registry.read_all(Path(self.records_dir))
        for problem in problems:
            self.log.warning("%s", problem)
        for record in found:
            if record.tty or record.process is None or not proc.is_alive(record.process):
                IOLoop.current().add_callback(asyncio.to_thread, self._end, record)
                continue
            term = PtyTerminal(record.name, record.argv[0])
            term.last_activity = utcnow()
            self.terminals[record.name] = term
            self._watch(term, record)

    def _watch(self, term: PtyTerminal, record: Entry) -> None:
        term.record = record
        term.launched.set()
        pidfd = None if record.process is None else proc.open_pidfd(record.process)
        if pidfd is None:
            self._ended(term)
            return

        def ended(fd: int, _events: int) -> None:
            IOLoop.current().remove_handler(fd)
            os.close(fd)
            self._ended(term)

        IOLoop.current().add_handler(pidfd, ended, IOLoop.READ)

    def _ended(self, term: PtyTerminal) -> None:
        """Note that the shell has ended. Its last output is still read, until the end of the pseudo-terminal."""
        term.gone.set()
        if self.terminals.get(term.term_name) is term:
            del self.terminals[term.term_name]
        IOLoop.current().add_callback(asyncio.to_thread, self._forget, term.record)

    def _end(self, record: Entry) -> None:
        stop.hang_up(record)
        self._forget(record)

    def _forget(self, record: Entry) -> None:
        launcher.forget(Path(self.records_dir), record)
        Path(self.sockets_dir, record.id).unlink(missing_ok=True)


def _keeper(path: str) -> str | None:
    """The path of tmux; None if it is missing, or what its client needs is."""
    return shutil.which("tmux", path=path) if shutil.which("setsid", path=path) else None
