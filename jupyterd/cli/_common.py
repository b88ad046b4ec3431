"""What verbs share: which server is meant, becoming its account, exit codes, messages, and the terminal's abilities."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import attrs

from jupyterd.cli import as_account, typed
from jupyterd.linux import accounts, files, proc
from jupyterd.settings.paths import Paths, discover
from jupyterd.settings.problems import Invalid
from jupyterd.text import for_terminal

if TYPE_CHECKING:  # `jupyterd run` needs neither it nor psutil
    from jupyterd.cli.status.read import Nothing, ServerStatus

DONE, TROUBLE, USAGE, NOT_RUNNING, INTERRUPTED = 0, 1, 2, 3, 130
EX_TEMPFAIL, EX_CONFIG = 75, 78
"""sysexits.h."""

Which = Literal["system", "user"]
_WRITTEN_AGAIN_S, _LOOK_EVERY_S = 8.0, 0.25
"""Longer than the 5 s within which the supervisor notices that its status file is gone."""


@attrs.frozen
class Server:
    """The server that a verb is about. `running` is the status of its supervisor, None when none runs."""

    paths: Paths
    running: ServerStatus | None

    @property
    def urls(self) -> tuple[str, ...]:
        """Its addresses, best first; () when it is not running."""
        return () if self.running is None else self.running.snapshot.urls


def which_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --system and --user; they set `which` to a `Which`, or None."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--system", dest="which", action="store_const", const="system", help="the machine's service")
    which.add_argument("--user", dest="which", action="store_const", const="user", help="your own server")
    parser.set_defaults(which=None)


def places(which: Which | None, environ: Mapping[str, str], uid: int) -> tuple[Paths, ...]:
    """The directories where a server may be, the likeliest first; only one if `which` or the environment names it.
    Raises Invalid.
    """
    service, own = discover(environ, uid, "service"), discover(environ, uid, "user")
    match which:
        case "system":
            return (service,)
        case "user":
            return (own,)
        case None:
            meant = discover(environ, uid)
            if environ.get("JUPYTERD_STATE_DIR") or environ.get("JUPYTERD_MODE"):
                return (meant,)
            return (service, own) if meant.mode == "service" else (own, service)


def snapshots(where: tuple[Paths, ...]) -> tuple[Path, ...]:
    """Their status snapshots."""
    return tuple(each.status for each in where)


def as_the_account(args: argparse.Namespace, work: Callable[[], int], typed: Callable[[], bytes] = bytes) -> int:
    """The exit code of `work`, done by the account whose server `args` mean, in an environment that names this server;
    what `typed` returns is its standard input. Root itself does it where nobody but root can change anything of that
    server, and keeps its own standard input. Raises Invalid, OSError.
    """
    here, who = meant(args)
    if who is None:
        return work()
    return as_account.run(who, work, environment_of(here, who, getattr(args, "handed_on", ())), typed())


def environment_of(here: Paths, who: accounts.Account, more: tuple[str, ...] = ()) -> dict[str, str]:
    """What a process of the account's is given (as_account.environment), and the names of this server's directories."""
    environ = as_account.environment(who, os.environ, more)
    environ |= {"JUPYTERD_MODE": here.mode, "JUPYTERD_STATE_DIR": str(here.state)}
    if here.mode == "service":
        environ["JUPYTERD_RUNTIME_DIR"] = str(here.runtime)
    return environ


def meant(args: argparse.Namespace) -> tuple[Paths, accounts.Account | None]:
    """The place of the server that root means: where there is one, else the likeliest; and whose it is, None for root.
    Only root can say whose it is: it has made or changed every file on the way there.
    """
    where = places(
        getattr(args, "which", None) or ("system" if getattr(args, "system", False) else None), os.environ, 0
    )
    if getattr(args, "state", None) is not None:
        state = Path.cwd() / args.state
        where = (Paths("foreground", state, state / "run"),)
    for each in where:
        who = accounts.master_of(each.state) or accounts.master_of(each.runtime)
        if who is not None or os.path.lexists(each.state):
            return each, who
    return where[0], None


def find_server(which: Which | None) -> Server:
    """The running server, else the one that would run. Raises Invalid; PermissionError when the server is another
    account's.
    """
    where = places(which, os.environ, os.geteuid())
    return server_of(patiently(where, lambda: any(files.is_locked(each.lock) for each in where)), where)


def patiently(where: tuple[Paths, ...], runs: Callable[[], object]) -> ServerStatus | Nothing:
    """The first snapshot whose supervisor runs. Where there is none although something `runs`, one is waited for: a
    supervisor that has just started writes it, and one whose file somebody has removed writes it again.
    """
    from jupyterd.cli.status.read import Nothing, look  # noqa: PLC0415 - see above

    until = time.monotonic() + _WRITTEN_AGAIN_S
    while isinstance(found := look(snapshots(where)), Nothing):
        if found.denied or not runs() or time.monotonic() > until:
            break
        time.sleep(_LOOK_EVERY_S)
    return found


def server_of(found: ServerStatus | Nothing, where: tuple[Paths, ...]) -> Server:
    """The server that was found, else the one that would run at `where[0]`. PermissionError as in `find_server`."""
    from jupyterd.cli.status.read import ServerStatus  # noqa: PLC0415 - as above

    if isinstance(found, ServerStatus):
        mode = next((each.mode for each in where if each.status == found.file), where[0].mode)
        return Server(Paths(mode=mode, state=Path(found.snapshot.state_dir), runtime=found.file.parent), found)
    if found.denied:
        raise PermissionError("the server on this machine belongs to another account; run the same command with sudo")
    return Server(where[0], None)


def tell(running: ServerStatus) -> bool:
    """Send SIGHUP to exactly this supervisor, which then makes another plan. False if it has ended. PermissionError."""
    told = running.snapshot.supervisor
    pidfd = proc.open_pidfd_since(told.pid, told.started)
    if pidfd is None:
        return False
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGHUP)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True


def say(text: str) -> None:
    """A message on standard error. What an account may have written into it is no command for root's terminal."""
    print(for_terminal(f"jupyterd: {typed.commands(text, os.environ)}"), file=sys.stderr)


def fail(text: str, code: int = TROUBLE) -> int:
    """A message on standard error; returns the exit code."""
    say(text)
    return code


def refuse(invalid: Invalid) -> int:
    """Every problem with the settings, one per line; returns EX_CONFIG."""
    for problem in invalid.problems:
        say(str(problem))
    return EX_CONFIG


def has_colour() -> bool:
    """Whether standard output is a terminal with colours, and NO_COLOR (https://no-color.org) is not set."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def columns(narrowest: int, widest: int) -> int:
    """The width of the terminal, within these bounds; 80 where it has none."""
    return min(widest, max(narrowest, shutil.get_terminal_size((80, 24)).columns))
