"""Which server `jupyterd setup` is about, the machine's or the user's own, and how a verb is run as its account."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

import attrs

from jupyterd.cli import as_account
from jupyterd.cli.setup import service_account, services, settings_reader
from jupyterd.cli.setup import unit_files as files
from jupyterd.linux import accounts
from jupyterd.linux.accounts import ROOT, Account, account
from jupyterd.linux.files import read_untrusted, stat_mark
from jupyterd.settings import load, paths
from jupyterd.settings.load import Loaded
from jupyterd.settings.paths import Paths


@dataclass(frozen=True, slots=True)
class Standing:
    """What there is in the state directory: whether there is one, and the marks of three files in it (ABSENT: none)."""

    state: bool
    login: str
    installed: str
    authority: str


@attrs.frozen
class SetupTarget:
    """`settings` is the file that is written; a link is followed to where it leads."""

    account: Account
    paths: Paths
    settings: Path

    @property
    def user(self) -> bool:
        """The user's own, not the machine's."""
        return self.paths.mode == "user"

    @property
    def flag(self) -> str:
        """The option that selects this server in other verbs."""
        return "--user" if self.user else "--system"

    @property
    def reader(self) -> Account:
        """Who reads the settings file: the account that can change it, else root."""
        return accounts.master_of(self.settings) or ROOT if os.geteuid() == 0 else self.account

    @property
    def writer(self) -> Account:
        """Who writes the settings file: the account that can change its directory, else root."""
        return accounts.master_of(self.settings.parent) or ROOT if os.geteuid() == 0 else self.account

    def load(self) -> Loaded:
        """The current settings. Raises Invalid."""
        environ = dict(os.environ) if self.user else {}
        return settings_reader.read(load.sources(self.paths.mode, None, environ, {}, self.account))

    def text(self) -> str | None:
        """The settings file; None if there is none."""
        return as_account.ask(self.reader, lambda: _read(self.settings), str | None)

    def standing(self) -> Standing:
        """As the account sees it."""
        return as_account.ask(self.account, lambda: _standing(self.paths), Standing)

    def url(self) -> str:
        """Its best address; "" when it does not run."""
        return as_account.ask(self.account, lambda: _url(self.paths))

    def verb(self, *verb: str, typed: str = "", timeout_s: float = 90.0) -> int:
        """Run a verb of this program as the account, with the environment of its service; returns the exit code.
        `typed` is the standard input, for secrets. OSError when it does not end in time.
        """
        from jupyterd.cli.main import main  # noqa: PLC0415 - it imports the verb that imports this

        given = typed.encode("utf-8", "surrogateescape")
        return as_account.run(self.account, lambda: main([*verb]), self._environ(), given, timeout_s)

    def _environ(self) -> dict[str, str]:
        if self.user:
            return os.environ | {"JUPYTERD_MODE": "user"}
        handed = as_account.environment(self.account, os.environ, as_account.FOR_PIP)
        own = {name: value for name, value in handed.items() if not name.startswith("JUPYTERD_")}
        return own | {
            "JUPYTERD_MODE": "service",
            "STATE_DIRECTORY": str(files.STATE),
            "RUNTIME_DIRECTORY": "/run/jupyterd",
        }


def _read(path: Path) -> str | None:
    try:
        return read_untrusted(path).decode()
    except FileNotFoundError:
        return None


def _url(here: Paths) -> str:
    from jupyterd.cli.status.read import ServerStatus, look  # noqa: PLC0415 - ./install needs it at its end only

    found = look((here.status,))
    return next(iter(found.snapshot.urls), "") if isinstance(found, ServerStatus) else ""


def _standing(paths: Paths) -> Standing:
    return Standing(paths.state.is_dir(), *map(stat_mark, (paths.login, paths.installed, paths.authority)))


def find_target(named: str | None) -> SetupTarget:
    """The server that this user can set up. ValueError says why there is none and what to type."""
    uid = os.geteuid()
    if uid != 0:
        return _own(named, uid)
    if not services.is_program_of_roots():
        raise ValueError(
            "the machine's service needs a program that only root can change. From a checkout, type: sudo ./install"
        )
    chosen = service_account.for_service(named)
    if isinstance(chosen, service_account.Undecided):
        raise ValueError(chosen.advice)  # noqa: TRY004 - it is no fault of a type
    mine = account(pwd.getpwnam(chosen.name).pw_uid, {}, service=True)
    foreign = services.foreign_state(mine)
    if foreign is not None:
        raise ValueError(foreign)
    return SetupTarget(mine, paths.discover({}, 0, "service"), Path(os.path.realpath(files.SETTINGS)))


def _own(named: str | None, uid: int) -> SetupTarget:
    mine = account(uid, os.environ, service=False)
    if named not in (None, mine.name):
        raise ValueError(f"only root can set up a server of {named}: sudo jupyterd setup --account {named}")
    try:
        served = files.STATE.stat().st_uid == uid
    except OSError:
        served = False
    if served:
        raise ValueError("the machine's service already runs for you; to change it: sudo jupyterd setup")
    where = load.configuration_directory("user", os.environ, mine) / load.FILE
    return SetupTarget(mine, paths.discover(os.environ, uid, "user"), Path(os.path.realpath(where)))
