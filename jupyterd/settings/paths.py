"""The state directory, the runtime directory, and the path of each file in them, in one place.

discover() finds the directories that a command is about; only prepare() creates anything.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import attrs

from jupyterd.linux import files
from jupyterd.linux.accounts import STATE_BELOW_HOME, account, master_of
from jupyterd.settings.problems import Invalid, Origin, Problem

Mode = Literal["service", "user", "foreground"]

_SOCKET_PATH_MOST = 100
"""Bytes; unix(7) allows 107."""
_SOCKET_NAME = "/k/0123456789ab-65535"
"""The longest name in kernel_sockets (jupyterd.launch.launcher.socket_stem, and a channel's number)."""
SERVICE_STATE = Path("/var/lib/jupyterd")
SERVICE_RUNTIME = Path("/run/jupyterd")


@attrs.frozen
class Paths:
    """`state` is kept, `runtime` lives until the next boot; both belong to the account, mode 0700."""

    mode: Mode
    state: Path
    runtime: Path

    @property
    def lock(self) -> Path:
        """The lock file that the one supervisor of this state directory holds (flock)."""
        return self.state / "lock"

    @property
    def jupyter_config(self) -> Path:
        """JUPYTER_CONFIG_DIR of the server: what pages keep there, and no configuration of the server."""
        return self.state / "jupyter"

    @property
    def traits(self) -> Path:
        """0600 JSON: Jupyter's configuration as the planner generates it; in no directory that Jupyter searches."""
        return self.state / "traits.json"

    @property
    def live(self) -> Path:
        """0600 JSON: what a running server reads again on Reload (certificate, password, token)."""
        return self.state / "live.json"

    @property
    def login(self) -> Path:
        """0600 JSON: the password that the browser set and the hash of the one-time token."""
        return self.state / "login.json"

    @property
    def logouts(self) -> Path:
        """0600 text: the logins that were ended by logging out."""
        return self.state / "logouts"

    @property
    def self_signed(self) -> Path:
        """0600 combined PEM of the certificate that jupyterd made by itself."""
        return self.state / "tls" / "self-signed.pem"

    @property
    def authority(self) -> Path:
        """0600 combined PEM: certificate and key of this machine's own authority (jupyterd cert new)."""
        return self.state / "tls" / "authority.pem"

    @property
    def local_leaf(self) -> Path:
        """0600 combined PEM of the certificate that the own authority signed."""
        return self.state / "tls" / "local.pem"

    @property
    def installed(self) -> Path:
        """0600 combined PEM that `jupyterd cert install` has put there."""
        return self.state / "tls" / "installed.pem"

    @property
    def served(self) -> Path:
        """0600 combined PEM: the last good copy of what is to be served. The server reads nothing else."""
        return self.state / "tls" / "served.pem"

    @property
    def acme(self) -> Path:
        """Directory of certbot for an ordinary account (jupyterd cert acme); root's is /etc/letsencrypt."""
        return self.state / "acme"

    @property
    def kernel_environment(self) -> Path:
        """The default Python environment of notebooks."""
        return self.state / "python"

    @property
    def kernelspecs(self) -> Path:
        """JUPYTER data directory that holds the default kernelspec, "python3"."""
        return self.state / "share"

    @property
    def kernel_records(self) -> Path:
        """Directory with a JSON file, mode 0600, for each running kernel (jupyterd.launch)."""
        return self.state / "kernels"

    @property
    def spool(self) -> Path:
        """Output of kernels while no server listened (jupyterd.recorder): on disk, as it may be long."""
        return self.state / "spool"

    @property
    def terminal_records(self) -> Path:
        """Directory with a JSON file, mode 0600, for each running terminal (jupyterd.launch)."""
        return self.state / "terminals"

    @property
    def gpu_history(self) -> Path:
        """SQLite: the history of the GPUs (jupyterd.gpu.history)."""
        return self.state / "gpu.db"

    @property
    def sessions(self) -> Path:
        """The session database (SessionManager.database_filepath)."""
        return self.state / "sessions.db"

    @property
    def kernel_sockets(self) -> Path:
        """0700; connection files and ipc sockets. Short: a socket path has 107 bytes."""
        return self.runtime / "k"

    @property
    def terminal_sockets(self) -> Path:
        """0700; the sockets of tmux, one for each terminal, named after it."""
        return self.runtime / "t"

    @property
    def jupyter_runtime(self) -> Path:
        """The server's JUPYTER_RUNTIME_DIR."""
        return self.runtime / "jupyter"

    @property
    def status(self) -> Path:
        """The file of the status snapshot (jupyterd.protocol.status)."""
        return self.runtime / "status.json"


def mode_of(environ: Mapping[str, str]) -> Mode:
    """The mode of a daemon that is started now, which its unit sets in $JUPYTERD_MODE. Raises Invalid."""
    match environ.get("JUPYTERD_MODE", "foreground"):
        case "service":
            return "service"
        case "user":
            return "user"
        case "foreground" | "":
            return "foreground"
        case _:
            origin = Origin("environment JUPYTERD_MODE")
            raise Invalid((Problem(origin, "is not a mode", "allowed are service, user and foreground"),))


def discover(
    environ: Mapping[str, str], uid: int, mode: Mode | None = None, service_state: Path = SERVICE_STATE
) -> Paths:
    """The directories that a command is about. Without a mode: what the environment names; else, for root and for
    the service's account, the service (unless one of their own runs in a terminal); else one's own. Raises Invalid.
    """
    if mode is None:
        mode = mode_of(environ) if environ.get("JUPYTERD_MODE") else _mode_meant(environ, uid, service_state)
    named_state, named_runtime = _named(environ, "JUPYTERD_STATE_DIR"), _named(environ, "JUPYTERD_RUNTIME_DIR")
    if mode == "service":
        state = named_state or _first(environ.get("STATE_DIRECTORY", "")) or service_state
        return Paths(mode, state, named_runtime or _first(environ.get("RUNTIME_DIRECTORY", "")) or SERVICE_RUNTIME)
    # Of a user's unit too: systemd 252 would put its StateDirectory= into ~/.config (254: ~/.local/state), and the
    # same verbs, the same kernels and one lock serve both ways of starting it.
    state = named_state or _own_state(environ, uid)
    return Paths(mode, state, named_runtime or _own_runtime(state, uid))


def prepare(paths: Paths) -> None:
    """Create both directories, for the account alone. Raises Invalid where another account's are in the way, OSError
    for a fault of the machine (a full disk).
    """
    # A person may have put the state on another disk by a link; in /tmp a link would be somebody's trap.
    for directory in (Path(os.path.realpath(paths.state)), paths.runtime):
        try:
            files.private_directory(directory)
        except OSError as error:
            if error.errno not in (None, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
                raise
            what = error.strerror or str(error)
            advice = (
                "another place: JUPYTERD_STATE_DIR=DIRECTORY" if paths.mode != "service" else "type: sudo ./install"
            )
            raise Invalid((Problem(Origin(str(directory)), f"cannot be used ({what})", advice=advice),)) from error


def _mode_meant(environ: Mapping[str, str], uid: int, service_state: Path) -> Mode:
    if environ.get("JUPYTERD_STATE_DIR"):
        return "foreground"
    try:
        serves = service_state.stat().st_uid == uid
    except OSError:
        return "service" if uid == 0 and not _own_state(environ, uid).exists() else "foreground"
    return "service" if (uid == 0 or serves) and not _runs(_own_state(environ, uid), uid) else "foreground"


def _runs(own: Path, uid: int) -> bool:
    """Whether a server of one's own runs there. With sudo's $HOME it is the account's, which root does not open."""
    try:
        return (uid != 0 or master_of(own) is None) and files.is_locked(own / "lock")
    except PermissionError:
        return False


def _own_state(environ: Mapping[str, str], uid: int) -> Path:
    base = _named(environ, "XDG_STATE_HOME")
    return base / "jupyterd" if base else Path(account(uid, environ, service=False).home, STATE_BELOW_HOME)


def _own_runtime(state: Path, uid: int) -> Path:
    """Not $XDG_RUNTIME_DIR, which vanishes at the logout that the daemon survives."""
    runtime = state / "run"
    if len(os.fsencode(runtime)) + len(_SOCKET_NAME) <= _SOCKET_PATH_MOST:
        return runtime
    digest = hashlib.sha256(os.fsencode(state)).hexdigest()[:8]
    return Path(f"/tmp/jupyterd-{uid}-{digest}")  # noqa: S108 - prepare() refuses what is not the account's, 0700


def _named(environ: Mapping[str, str], variable: str) -> Path | None:
    value = environ.get(variable, "")
    if value and variable.startswith("JUPYTERD"):  # may be relative: a person has typed it
        return Path.cwd() / value
    return Path(value) if value.startswith("/") else None


def _first(directories: str) -> Path | None:
    """systemd.exec(5): several directories are separated by colons."""
    first, _, _ = directories.partition(":")
    return Path(first) if first.startswith("/") else None
