"""Makes the running environment the machine's service: units, directories, and Jupyter's directories in the account's
home. Runs as root.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from jupyterd.cli import as_account
from jupyterd.cli.setup import linger, sandbox, systemctl
from jupyterd.cli.setup import unit_files as files
from jupyterd.linux import accounts, unit_file
from jupyterd.linux.accounts import Account
from jupyterd.settings import paths
from jupyterd.settings.schema import Settings

_COMMAND_TIMEOUT_S = 90.0
_OF_JUPYTER = (".jupyter", ".local/share/jupyter", ".local/share/Trash")
"""In the home: settings and workspaces of JupyterLab, trusted notebooks, the file browser's waste bin."""


def is_program_of_roots() -> bool:
    """Whether this program was installed by ./install, where only root can change it."""
    prefix = Path(sys.prefix)
    return (prefix / "share" / "jupyterd").is_dir() and prefix.is_relative_to(files.CURRENT.parent)


def openings(account: Account, settings: Settings) -> sandbox.Openings:
    """What the server may write to. ValueError if the sandbox is never opened for the root directory."""
    root = settings.server.root_dir
    places = as_account.ask(account, lambda: _wanted(root, account.home), tuple[sandbox.Wanted, ...])
    others = {each.pw_dir: each.pw_name for each in pwd.getpwall() if each.pw_dir != account.home}
    found = sandbox.decide(places, account.home, others)
    for refused in found.refused:
        if refused.wanted.path == root:
            raise ValueError(f"{refused}. Choose a directory in it: [server] root_dir in {files.SETTINGS}")
    return found


def _wanted(root: str, home: str) -> tuple[sandbox.Wanted, ...]:
    """What the account asks for: the root directory, what is linked there, and Jupyter's directories."""
    places = [sandbox.Wanted(root, os.path.realpath(root), "server.root_dir"), *sandbox.links(Path(root))]
    for each in _OF_JUPYTER:
        path = f"{home}/{each}"
        places.append(sandbox.Wanted(path, os.path.realpath(path), "a directory of Jupyter's in the home"))
    return tuple(places)


def service_of(account: Account, settings: Settings, opened: sandbox.Openings) -> files.Service:
    """What the drop-in of the service depends on."""
    paths = (settings.server.root_dir, settings.tls.certificate, settings.tls.key, settings.kernels.environment)
    return files.Service(
        account=account.name,
        uid=account.uid,
        home=account.home,
        port=settings.server.port,
        paths=tuple(path for path in paths if path.startswith("/")),
        writable=tuple(each.path for each in opened.writable),
    )


def widened(service: files.Service, opened: sandbox.Openings) -> Iterator[str]:
    """One line for each thing that the drop-in takes from the sandbox."""
    shown: list[str] = []
    for each in opened.writable:
        if not any(Path(each.real).is_relative_to(real) for real in shown):
            shown.append(each.real)
            through = "" if each.real == each.path else f" (that is {each.real})"
            yield f"the server may write to {each.path}{through}: {each.why}"
    if files.shares_tmp(service):
        yield "the server sees the machine's own /tmp and /var/tmp"
    if service.port in files.PRIVILEGED_PORTS:
        yield f"the supervisor may listen on ports below 1024: server.port is {service.port}"


def foreign_state(account: Account) -> str | None:
    """What is wrong, and what to type, if the state directory belongs to another account; None if it does not."""
    try:
        owner = files.STATE.stat().st_uid
    except FileNotFoundError:
        return None
    if owner == account.uid:
        return None
    holder = accounts.master_of(files.STATE) or accounts.ROOT
    if not as_account.ask(holder, lambda: any(files.STATE.iterdir()), bool):
        return None
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = f"uid {owner}"
    return (
        f"{files.STATE} holds the state of {name}, not of {account.name}. To give the service to {account.name}:\n"
        f"    sudo systemctl stop jupyterd; sudo mv {files.STATE} {files.STATE}.{name}     , then run this again"
    )


def put_in_place(account: Account, wanted: tuple[files.Put | files.Point, ...]) -> bool:
    """Write what is missing or different; True if anything was. Does not affect what runs: see systemctl.start()."""
    changed = _put(wanted)
    lingered = linger.is_on(account.name)
    systemctl.user_manager(account.name, account.uid)
    if not lingered:
        linger.remember(account.name, linger.OF_THE_MACHINE)
    as_account.ask(account, lambda: _make_places(account.home), type(None))
    if accounts.master_of(files.STATE) is None:  # else it is the account's already, or a link of root's leads to it
        files.STATE.mkdir(mode=0o700, exist_ok=True)
        os.chown(files.STATE, account.uid, account.gid)
    return changed


def _put(wanted: tuple[files.Put | files.Point, ...]) -> bool:
    different = [piece for piece in wanted if not piece.is_so]
    for piece in different:
        piece.do()
    if different:
        systemctl.run("journalctl", "--update-catalog")
        systemctl.run("systemctl", "daemon-reload")
    return bool(different)


def take_back(previous: Path) -> bool:
    """Make the version at `previous` the machine's service again; whether it serves. OSError if it is incomplete."""
    _put(files.program(previous))
    return systemctl.start(changed=True)


def _make_places(home: str) -> None:
    """Create Jupyter's directories: the sandbox can only allow writing to directories that exist."""
    for place in _OF_JUPYTER:
        with contextlib.suppress(OSError):
            Path(home, place).mkdir(mode=0o700, parents=True, exist_ok=True)


def leave_places(home: str) -> None:
    """Remove those that are empty, and empty directories above them: setup makes them where there are none."""
    for place in (f"{_OF_JUPYTER[1]}/runtime", *_OF_JUPYTER):
        directory = Path(home, place)
        with contextlib.suppress(OSError):
            while directory != Path(home):
                directory.rmdir()
                directory = directory.parent


def current() -> Path | None:
    """The program that the service uses now; None if there is none."""
    return files.CURRENT.readlink() if files.CURRENT.is_symlink() else None


def forget_old_versions(previous: Path | None) -> None:
    """Remove the versions that are not in use. The previous one stays: its processes may still run."""
    keep = {Path(sys.prefix), previous}
    for each in files.CURRENT.parent.iterdir():
        if each.is_dir() and not each.is_symlink() and each not in keep:
            shutil.rmtree(each, ignore_errors=True)


def user_unit(mine: Account) -> files.Put | None:
    """The user unit to write; None if the machine's own user unit already names this program."""
    if is_program_of_roots() and (files.USER_UNIT_DIR / files.UNIT).exists():
        return None
    text = Path(sys.prefix, "share", "jupyterd", "systemd", "user", files.UNIT).read_text()
    text = text.replace(str(files.CURRENT), sys.prefix)  # where its documentation lies
    base = os.environ.get("XDG_CONFIG_HOME", "")
    directory = Path(base if base.startswith("/") else f"{mine.home}/.config")
    return files.Put(
        directory / "systemd" / "user" / files.UNIT,
        unit_file.with_program(text, str(files.COMMAND), str(Path(sys.prefix, "bin", "jupyterd"))),
    )


def stay_after_logout(mine: Account) -> str | None:
    """Keep the account's user manager after logout; returns a sentence to print if that fails. OSError, with what to
    type, if the account has no user manager.
    """
    runtime = os.environ.setdefault("XDG_RUNTIME_DIR", f"/run/user/{mine.uid}")
    fault = ""
    if not linger.is_on(mine.name):
        fault = _linger(mine)
        state = paths.discover(os.environ, mine.uid, "user").state
        if not fault and state.is_dir():
            linger.remember(mine.name, linger.of_account(state))
    if not Path(runtime, "systemd").is_dir():
        raise OSError(
            f"{mine.name} has no systemd user manager here (a login by ssh or at the console starts it, su does not).\n"
            f"    sudo loginctl enable-linger {mine.name}     , then run this again"
        )
    return (
        f"the server will stop when you log out ({fault}). To keep it running: sudo loginctl enable-linger {mine.name}"
        if fault
        else None
    )


def _linger(mine: Account) -> str:
    """Enable lingering; returns the reason if that fails, else "". Gives the name, because without one loginctl needs a
    session, which cron does not have.
    """
    argv = ["loginctl", "enable-linger", mine.name]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    return (done.stderr.strip() or f"loginctl: exit {done.returncode}") if done.returncode else ""


def put_user_unit(wanted: files.Put | None) -> bool:
    """Write the unit if it is missing or different; True if it was."""
    changed = wanted is not None and not wanted.is_so
    if wanted is not None and changed:
        files.put(wanted.path, wanted.text, uid=-1, gid=-1)
    if changed:
        systemctl.run("systemctl", "--user", "daemon-reload")
    return changed
