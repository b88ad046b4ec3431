"""`jupyterd uninstall`: takes off what setup has put there, and says what stays and why. Notebooks always stay.

As root: the machine's service, and the program unless another account's server needs it. Else: one's own server.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from jupyterd.cli import as_account
from jupyterd.cli._common import DONE, TROUBLE, USAGE, fail, say
from jupyterd.cli.setup import linger, services, systemctl, unit_files
from jupyterd.linux import accounts, files, proc, unit_file
from jupyterd.linux.accounts import Account
from jupyterd.settings import load, paths
from jupyterd.settings.paths import Paths
from jupyterd.settings.problems import Invalid

HELP = "remove the service and the program; keeps settings, state and notebooks (--purge: notebooks alone)"
_DELETE_S = 900.0
_ACME = ("jupyterd-acme.timer", "jupyterd-acme.service")
_CERTBOT = Path("/opt/jupyterd-certbot")
_LINEAGE = Path("/etc/letsencrypt/renewal/jupyterd.conf")
_SUPERVISOR = re.compile(rb"^/opt/jupyterd/[^\0]*\0.*/jupyterd/supervisor/__main__\.py\0", re.DOTALL)
_PEOPLE = range(1000, 60000)
"""UIDs of people (adduser.conf(5))."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    text = "also delete settings and state: login, certificates, history, the Python environment of notebooks"
    parser.add_argument("--purge", action="store_true", help=text)
    parser.add_argument("--yes", action="store_true", help="do not ask before --purge deletes")


def by_root(args: argparse.Namespace, _: Callable[[], int]) -> int:
    """Root removes root's files itself, and has the account delete what is the account's."""
    if not unit_files.DROP_IN.exists() and not unit_files.CURRENT.parent.exists():
        return fail("jupyterd is not installed on this machine")
    name = unit_file.read_plain(_text(unit_files.DROP_IN), "User") or ""
    who = _account(name) or accounts.master_of(unit_files.STATE)
    service = Paths("service", unit_files.STATE, paths.SERVICE_RUNTIME)
    if args.purge and (
        refusal := _refusal(service, who) or _unasked(args, unit_files.STATE, unit_files.SETTINGS.parent)
    ):
        return fail(refusal, USAGE)
    _end(("systemctl",), (unit_files.UNIT, _ACME[0]))
    _delete(
        unit_files.UNIT_DIR / unit_files.UNIT, unit_files.DROP_IN,
        *(Path("/etc/systemd/system", each) for each in _ACME),
    )  # fmt: skip
    with contextlib.suppress(OSError):  # drop-ins of the administrator's
        unit_files.DROP_IN.parent.rmdir()
    subprocess.run(["systemctl", "daemon-reload"], capture_output=True, timeout=60, check=False)
    settings = unit_files.SETTINGS.parent
    if args.purge:
        _purge(service, who, settings)
    else:
        say(f"kept: {settings} (settings) and {unit_files.STATE} (login, certificates, history, the Python environment")
        say("    of notebooks), for another install; to delete them too: jupyterd uninstall --purge")
    if who is not None:
        as_account.ask(who, lambda: services.leave_places(who.home), type(None))
        _take_linger(who.name, linger.OF_THE_MACHINE)
    others = sorted({*_running(), *_enabled()})
    if others:
        program = unit_files.CURRENT.parent
        say(f"kept: the program in {program}, because servers of other accounts run it: {', '.join(others)}")
        say("    each can remove theirs: jupyterd uninstall     ; after that, type again: sudo jupyterd uninstall")
    else:
        _program()
    with contextlib.suppress(subprocess.SubprocessError):
        systemctl.run("journalctl", "--update-catalog")
    if _LINEAGE.exists():
        say("kept: the certificate in /etc/letsencrypt, which certbot renews; to stop that:")
        say("    certbot delete --cert-name jupyterd")
    say("the service is removed" if others else "the program and the service are removed")
    return DONE


def main(args: argparse.Namespace) -> int:
    """One's own server."""
    mine = accounts.account(os.getuid(), os.environ, service=False)
    here = paths.discover(os.environ, os.getuid(), "user")
    settings = load.configuration_directory("user", os.environ, mine)
    if args.purge and (refusal := _refusal(here, mine) or _unasked(args, here.state, settings)):
        return fail(refusal, USAGE)
    os.environ.setdefault("XDG_RUNTIME_DIR", f"/run/user/{mine.uid}")
    _end(("systemctl", "--user"), (unit_files.UNIT, _ACME[0]))
    if files.is_locked(here.lock):
        return fail("your server still runs, in a terminal; end it first: jupyterd stop", TROUBLE)
    services.leave_places(mine.home)
    if (unit := services.user_unit(mine)) is not None:
        _delete(unit.path)
        with contextlib.suppress(subprocess.SubprocessError, OSError):
            systemctl.run("systemctl", "--user", "daemon-reload")
    _take_linger(mine.name, linger.of_account(here.state))
    if args.purge:
        _purge(here, mine, settings)
    else:
        say(f"kept: {settings} (settings) and {here.state} (state); to delete them too: jupyterd uninstall --purge")
    say(
        "your server is removed; the program stays, as it is not yours alone"
        if unit is None
        else "your server is removed"
    )
    return DONE


def _refusal(here: Paths, who: Account | None) -> str:
    """Why nothing may be purged: notebooks lie there, or nobody can tell. "" if they do not."""
    if who is None:
        return ""

    environ = {} if as_account.is_needed(who) else dict(os.environ)

    def root_dir() -> str:
        given = load.sources(here.mode, None, environ, {}, who)
        return os.path.realpath(load.load(given).settings.server.root_dir)

    try:
        notebooks = as_account.ask(who, root_dir, str)
    except (OSError, ValueError, Invalid) as error:
        return f"nothing was removed: where your notebooks are cannot be told ({error}); correct the settings first"
    if Path(notebooks).is_relative_to(os.path.realpath(here.state)):
        return f"nothing was removed: your notebooks are in {notebooks}, which --purge would delete; move them first"
    return ""


def _unasked(args: argparse.Namespace, *places: Path) -> str:
    """Ask a person; the refusal of one who does not answer "yes"."""
    if args.yes:
        return ""
    if not sys.stdin.isatty():
        return "nothing was removed: --purge without a terminal needs --yes"
    answer = input(f"Delete {' and '.join(map(str, places))} with everything in it? Type yes: ")
    return "" if answer.strip() == "yes" else "nothing was removed"


def _end(manager: tuple[str, ...], units: tuple[str, ...]) -> None:
    """Stop them and forget that they start at boot. A unit that is not there is no trouble."""
    for unit in units:
        subprocess.run([*manager, "disable", "--now", unit], capture_output=True, timeout=180, check=False)
        subprocess.run([*manager, "reset-failed", unit], capture_output=True, timeout=60, check=False)


def _program() -> None:
    _delete(unit_files.USER_UNIT_DIR / unit_files.UNIT, unit_files.CATALOG_DIR / "jupyterd.catalog")
    if unit_files.COMMAND.is_symlink():
        unit_files.COMMAND.unlink()
    for directory in (unit_files.CURRENT.parent, _CERTBOT):
        shutil.rmtree(directory, ignore_errors=True)
    units = (unit_files.UNIT_DIR, unit_files.USER_UNIT_DIR, unit_files.CATALOG_DIR, unit_files.UNIT_DIR.parent)
    for directory in units:
        with contextlib.suppress(OSError):  # somebody else's units are there too
            directory.rmdir()
    subprocess.run(["systemctl", "daemon-reload"], capture_output=True, timeout=60, check=False)


def _purge(here: Paths, who: Account | None, settings: Path) -> None:
    """Settings are deleted by this process, state and runtime directory by the account."""
    for place in (here.state, here.runtime):
        owner = accounts.master_of(place) or who
        if owner is not None and os.path.lexists(place):
            as_account.ask(owner, lambda place=place: _empty(place), type(None), _DELETE_S)  # type: ignore[misc]
        with contextlib.suppress(OSError):  # the directory itself is in one of root's, or in the account's
            place.unlink() if place.is_symlink() else place.rmdir()
    shutil.rmtree(settings, ignore_errors=True)
    say(f"deleted: {settings} (settings) and {here.state} (state)")


def _empty(place: Path) -> None:
    for each in place.iterdir():
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each, ignore_errors=True)
        else:
            each.unlink(missing_ok=True)


def _take_linger(name: str, mark: Path) -> None:
    """Only what setup has switched on is switched off again."""
    if linger.is_ours(name, mark):
        subprocess.run(["loginctl", "disable-linger", name], capture_output=True, timeout=60, check=False)
        linger.forget(name, mark)
        say(f"processes of {name} end at the next logout again, as before (loginctl disable-linger)")
    elif linger.is_on(name):
        say(f"kept: processes of {name} keep running after logout: that was so before, or setup has not noted it")
        say(f"    if nothing else needs that: loginctl disable-linger {name}")


def _running() -> Iterator[str]:
    """Accounts whose own server runs from the program of this machine."""
    for pid in proc.pids():
        with contextlib.suppress(OSError, KeyError):
            if _SUPERVISOR.search(Path(f"/proc/{pid}/cmdline").read_bytes()):
                yield pwd.getpwuid(Path(f"/proc/{pid}").stat().st_uid).pw_name


def _enabled() -> Iterator[str]:
    """Accounts whose own server starts with their user manager, whether or not it runs now. Each looks by itself."""
    for entry in pwd.getpwall():
        if entry.pw_uid in _PEOPLE:
            who = Account(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)
            wants = Path(entry.pw_dir, ".config/systemd/user/default.target.wants", unit_files.UNIT)
            with contextlib.suppress(OSError, ValueError):
                if as_account.ask(who, lambda wants=wants: os.path.lexists(wants), bool, 10.0):  # type: ignore[misc]
                    yield who.name


def _account(name: str) -> Account | None:
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(found.pw_name, found.pw_uid, found.pw_gid, found.pw_dir)


def _delete(*where: Path) -> None:
    for each in where:
        each.unlink(missing_ok=True)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""
