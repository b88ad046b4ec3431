"""Which server `jupyterd setup` is about, the machine's or the user's own, and how a verb is run as its account."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import attrs

from jupyterd.cli.setup import service_account, services
from jupyterd.cli.setup import unit_files as files
from jupyterd.linux.accounts import Account, account
from jupyterd.settings import load, paths
from jupyterd.settings.load import Loaded
from jupyterd.settings.paths import Paths

_HANDED_ON = (
    "PIP_",
    "UV_",
    "SSL_CERT_",
    "REQUESTS_CA_BUNDLE",
    "LANG",
    "LC_",
    "TERM",
    "SSH_CONNECTION",  # for the ssh line that it ends with: who reaches this machine, and how
    "SUDO_USER",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
)


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

    def load(self) -> Loaded:
        """The current settings. Raises Invalid."""
        environ = dict(os.environ) if self.user else {}
        return load.load(load.sources(self.paths.mode, None, environ, {}, self.account))

    def verb(self, *verb: str, typed: str | None = None, timeout_s: float = 90.0) -> int:
        """Run a verb of this program as the account, with the environment of its service; returns the exit code.
        `typed` is the standard input, for secrets.
        """
        who = self.account
        other = os.geteuid() != who.uid
        done = subprocess.run(
            [str(Path(sys.prefix, "bin", "jupyterd")), *verb],
            input=(typed or "").encode("utf-8", "surrogateescape"),
            user=who.uid if other else None, group=who.gid if other else None,
            extra_groups=os.getgrouplist(who.name, who.gid) if other else None,
            env=self._environ(), cwd="/", timeout=timeout_s, check=False,
        )  # fmt: skip
        return done.returncode

    def _environ(self) -> dict[str, str]:
        if self.user:
            return os.environ | {"JUPYTERD_MODE": "user"}
        handed = {name: value for name, value in os.environ.items() if name.startswith(_HANDED_ON)}
        return handed | {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": self.account.home,
            "USER": self.account.name,
            "LOGNAME": self.account.name,
            "JUPYTERD_MODE": "service",
            "STATE_DIRECTORY": str(files.STATE),
            "RUNTIME_DIRECTORY": "/run/jupyterd",
            "XDG_RUNTIME_DIR": f"/run/user/{self.account.uid}",
        }


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
