"""`jupyterd setup`: account, password, address and certificate in one go, shown before anything is done.

The second half of ./install; run again it changes the answers. An ordinary user gets a unit of their own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from jupyterd.cli import as_account, typed
from jupyterd.cli._common import DONE, EX_CONFIG, NOT_RUNNING, TROUBLE, USAGE, fail, refuse, say
from jupyterd.cli.main import main as program
from jupyterd.cli.setup import changes, options, services, systemctl, tried
from jupyterd.cli.setup.answers import Answers
from jupyterd.cli.setup.changes import Todo
from jupyterd.cli.setup.target import SetupTarget, Standing, find_target
from jupyterd.cli.setup.tried import Tried
from jupyterd.linux.files import ABSENT
from jupyterd.settings.problems import Invalid
from jupyterd.text import for_terminal

HELP = "Install a permanent server: the machine's (as root), or your own; or change one."
_ENVIRONMENT_TIMEOUT_S = 1800.0
_CERTIFICATE_TIMEOUT_S = 900.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """An option for each answer."""
    options.add(parser)
    parser.add_argument("--installing", action="store_true", help=argparse.SUPPRESS)  # by ./install, which has asked


def by_root(args: argparse.Namespace, _: Callable[[], int]) -> int:
    """Root writes root's files itself, and has the account do the rest."""
    return main(args)


def main(args: argparse.Namespace) -> int:
    """1 when the server did not start, 2 for an invalid option, 78 for invalid settings."""
    os.umask(0o022)
    try:
        target = find_target(args.account)
        todo = changes.todo(args, target)
        if todo is None:
            return fail("nothing was changed")
        return 0 if args.dry_run else _do(target, todo, args)
    except Invalid as error:
        refuse(error)
        return fail("nothing was changed; correct these problems first", EX_CONFIG)
    except ValueError as error:
        return fail(str(error), USAGE)
    except (KeyError, OSError, subprocess.SubprocessError) as error:
        return fail("\n".join(filter(None, (str(error), getattr(error, "stderr", None)))), TROUBLE)
    except (KeyboardInterrupt, EOFError):
        return fail("interrupted; what was done so far stays, and the same command continues from there", TROUBLE)


def _do(target: SetupTarget, todo: Todo, args: argparse.Namespace) -> int:
    remark = services.stay_after_logout(target.account) if target.user else None
    if remark:
        say(remark)
    refused = changes.put_settings(target, todo)
    if refused:
        return refused
    previous = services.current()
    mine = target.account
    changed = services.put_user_unit(todo.unit) if target.user else services.put_in_place(mine, todo.pieces)
    before = target.standing()
    if not _login(target, todo):
        return TROUBLE
    if not todo.keeps_environment and target.verb("kernel-env", timeout_s=_ENVIRONMENT_TIMEOUT_S):
        say("notebooks have no Python environment yet; to try again, type the same command")
    new_login, ran = target.standing().login != before.login, systemctl.runs(user=target.user)
    if (changed or todo.new_text or not ran or args.installing) and not _started(target, todo, changed=changed):
        return _not_yet(target) if target.user or not ran else _take_back(previous)
    if not target.user:
        services.forget_old_versions(previous)
    old = target.standing()
    code = _certificate(target, todo.answers, old)
    if code:
        target.verb("token", target.flag, "--if-needed")
        return code
    new = target.standing()
    new_pair = (old.installed, old.authority) != (new.installed, new.authority)
    if ran and not (changed or todo.new_text or new_login or new_pair or args.installing):
        where = target.url()
        serves = f" The server is at {where}" if where else ""
        print(for_terminal(f"Nothing to change.{serves}\nTo log in: {typed.program(os.environ)} token"), flush=True)
        return 0
    return target.verb("token", target.flag, "--if-needed")


def _take_over(target: SetupTarget, earlier: Tried) -> None:
    """What cannot be taken over is told, and keeps nothing from starting."""
    try:
        done = tried.keep(target.account, earlier, target.paths.state)
    except (OSError, ValueError) as error:
        say(f"password and certificate of ./run are not taken over: {error}")
        return
    if done:
        say(f"taken over from ./run: {', '.join(done)}")


def _end(target: SetupTarget, earlier: Tried) -> bool:
    """End the server of ./run, as its account."""
    environ = as_account.environment(target.account, os.environ)
    environ |= {"JUPYTERD_MODE": "foreground", "JUPYTERD_STATE_DIR": earlier.state}
    return as_account.run(target.account, lambda: program(["stop"]), environ) in {DONE, NOT_RUNNING}


def _not_yet(target: SetupTarget) -> int:
    """Where the service will be, and how to log in, once what keeps it from starting is over."""
    target.verb("config", "check", *([] if target.user else ["--system"]))
    say("the service does not serve yet, and keeps trying. Once it serves, type: jupyterd token")
    return TROUBLE


def _take_back(previous: Path | None) -> int:
    """The version that served before serves again, if this is another; kernels have not noticed."""
    new = Path(sys.prefix)
    if previous is None or previous == new or not previous.is_dir():
        return TROUBLE
    say(f"version {new.name} does not serve (its messages are above): going back to {previous.name} ...")
    if services.take_back(previous):
        return fail(f"version {previous.name} serves again; kernels have kept running. To try again: sudo ./install")
    return fail(f"version {previous.name} does not serve either; see: journalctl -u jupyterd -n 50")


def _login(target: SetupTarget, todo: Todo) -> bool:
    if todo.takes_over:
        _take_over(target, todo.tried)
    secret = todo.answers.secret
    if secret is None:
        return True
    how = "--stdin" if secret.kind == "password" else "--hash-stdin"
    return target.verb("password", target.flag, how, "--if-new", typed=secret.text + "\n") == 0


def _started(target: SetupTarget, todo: Todo, *, changed: bool) -> bool:
    ended = not todo.ends or _end(target, todo.tried)
    return ended and systemctl.start(changed=changed, user=target.user)


def _certificate(target: SetupTarget, answers: Answers, standing: Standing) -> int:
    """Run `jupyterd cert` as whoever runs the setup: it becomes the account by itself. Returns its exit code."""
    wanted = answers.certificate
    match wanted.kind:
        case "auto":
            return 0
        case "authority":
            if standing.installed != ABSENT and (code := _cert("remove", target.flag)):
                return code
            return 0 if standing.authority != ABSENT else _cert("new", target.flag)
        case "files":
            return _cert("install", target.flag, *map(str, wanted.files))
        case "acme":
            domains = [word for each in wanted.domains for word in ("--domain", each)]
            more = ["--agree-tos"] if wanted.agreed else []
            more += ["--server", wanted.server] if wanted.server else []
            return _cert("acme", target.flag, *domains, "--email", wanted.email, *more)


def _cert(*words: str) -> int:
    sys.stdout.flush()
    argv = [str(Path(sys.prefix, "bin", "jupyterd")), "cert", *words]
    return subprocess.run(argv, check=False, timeout=_CERTIFICATE_TIMEOUT_S).returncode
