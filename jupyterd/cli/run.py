"""`jupyterd run`: check everything, take the lock, then become the supervisor in the same process.

Nothing that is imported here stays in memory: exec replaces it.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import sdnotify

import jupyterd
from jupyterd.cli import banner, failed_start, login_state, ssh, typed
from jupyterd.cli._common import EX_CONFIG, EX_TEMPFAIL, fail, say
from jupyterd.linux import accounts, kept
from jupyterd.planner import plan
from jupyterd.protocol.plan import Plan, Refused, encode
from jupyterd.settings import options
from jupyterd.settings.paths import Paths, discover, mode_of, prepare

_AGAIN_S, _EXTEND_S = 10.0, 60.0
HELP = "Run the Jupyter server under its supervisor: in this terminal, or as the systemd service."


def arguments(parser: argparse.ArgumentParser) -> None:
    """An option for every setting that is not a secret."""
    options.add(parser, everything=options.HELP_ALL in sys.argv)


def by_root(args: argparse.Namespace, _: Callable[[], int]) -> int:
    """A server of root's own: in another account's directories root makes nothing."""
    state = discover(os.environ, 0, mode_of(os.environ)).state
    who = accounts.master_of(state)
    if who is not None:
        advice = f"run it as {who.name}, without sudo, or name another place: JUPYTERD_STATE_DIR=DIRECTORY"
        return fail(f"{state} is {who.name}'s: {advice}", EX_CONFIG)
    return main(args)


def main(args: argparse.Namespace) -> int:  # noqa: RET503 - execv does not return
    """Returns an exit code only if it cannot become the supervisor. Keeps the account's umask, for saved notebooks."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # until the supervisor has its handler: it must not end the start
    asked = plan.ask(args, os.environ, sys.argv[2:])
    lock = _lock(asked.paths)
    if lock is None:
        return _already_serves(asked.paths)
    try:
        made = plan.make_plan(asked, write=True, at_start=True)
    except OSError as error:
        failed_start.note(asked.paths, (str(error),))
        raise
    if isinstance(made, Refused):
        for problem in made.problems:
            say(problem)
        failed_start.note(asked.paths, made.problems)
        return EX_CONFIG
    failed_start.forget(asked.paths)
    os.set_inheritable(lock, True)
    given = ["--plan-fd", str(_memory("plan", encode(made))), "--lock-fd", str(lock)]
    if made.mode == "foreground":
        given += ["--banner-fd", str(_memory("banner", _banner(made, asked).encode()))]
    sys.stdout.flush()
    program = Path(jupyterd.__file__).parent / "supervisor" / "__main__.py"
    lean = ("-I", "-S", "-X", "utf8", "-X", "no_debug_ranges", str(program), "--path", ":".join(_directories()))
    # A locale's tables would cost 0.2 MB. The supervisor says nothing that depends on one; its children have their own.
    environ = {**os.environ, "LC_ALL": "C"}
    os.execve(sys.executable, (sys.executable, *lean, *given), environ)  # noqa: S606 - that is the point


def _lock(paths: Paths) -> int | None:
    """The lock of the state directory; None: another supervisor holds it. Under systemd it waits for a disk that is
    full or read-only. Raises Invalid, and in a terminal OSError.
    """
    told = ""
    while True:
        try:
            prepare(paths)
            return kept.open_locked(paths.lock)
        except BlockingIOError:
            return None
        except OSError as error:
            problem = kept.unwritable(error)
            if paths.mode == "foreground":
                raise
            if problem != told:
                told = problem
                say(problem)
            status = f"STATUS=Waiting: {problem}; checked again every {_AGAIN_S:.0f} s"
            sdnotify.SystemdNotifier().notify(f"{status}\nEXTEND_TIMEOUT_USEC={round(_EXTEND_S * 1e6)}")
            time.sleep(_AGAIN_S)


def _banner(made: Plan, asked: plan.Ask) -> str:
    try:
        login = login_state.first(asked.paths, terminal=sys.stderr.isatty())
    except OSError as error:  # it serves all the same; `jupyterd token` says it again
        say(f"no link was made: {kept.unwritable(error)}")
        login = banner.TokenHidden()
    return banner.template(banner.of_plan(made), login, ssh.here(), typed.program(os.environ))


def _already_serves(paths: Paths) -> int:
    """Say where the server answers that holds the lock of this state directory."""
    from jupyterd.cli.status.read import ServerStatus, look  # noqa: PLC0415 - needed only here

    found = look((paths.status,))
    urls = found.snapshot.urls if isinstance(found, ServerStatus) else ()
    if not urls:
        return fail(f"another jupyterd already runs in {paths.state}; see: jupyterd status", EX_TEMPFAIL)
    ends = "" if paths.mode == "service" else "; to end it: jupyterd stop"
    return fail(f"already serving at {urls[0]}\n    to log in: jupyterd token{ends}", EX_TEMPFAIL)


def _directories() -> tuple[str, ...]:
    """Where the supervisor's own modules lie, and the one package that it needs beside the standard library."""
    return tuple(dict.fromkeys(str(Path(str(each.__file__)).parents[1]) for each in (jupyterd, sdnotify)))


def _memory(name: str, data: bytes) -> int:
    """A file in memory that the next program inherits: so no secret is on disk or in argv."""
    fd = os.memfd_create(name, 0)
    os.write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
