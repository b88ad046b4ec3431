"""`jupyterd install`: makes the environment that runs this the machine's service. Second half of ./install, as root.

Also after a change of settings that the unit must know (a port below 1024, another disk). Neighbour: install_files.py.
"""

from __future__ import annotations

import argparse
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

from jupyterd.cli import install_files as files
from jupyterd.cli import install_start
from jupyterd.settings import accounts, load, sample

HELP = "make this program the machine's service (as root); again after moving to another port below 1024 or disk"

_COMMAND_TIMEOUT_S = 90.0
_ENVIRONMENT_TIMEOUT_S = 1800.0
_OF_JUPYTER = (".jupyter", ".local/share/jupyter", ".local/share/Trash")
"""In the home: settings and workspaces of JupyterLab, trusted notebooks, the file browser's waste bin."""
_HANDED_ON = (
    "PIP_",
    "UV_",
    "SSL_CERT_",
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


def arguments(parser: argparse.ArgumentParser) -> None:
    """The account; default: the one that the service has."""
    parser.add_argument("--account", metavar="NAME", help="whose notebooks are served (default: as it is now)")


def main(args: argparse.Namespace) -> int:
    """Puts everything in place, starts it, says how to log in."""
    share = Path(sys.prefix, "share", "jupyterd")
    if os.geteuid() != 0 or not share.is_dir() or not Path(sys.prefix).is_relative_to(files.CURRENT.parent):
        print(
            "jupyterd: this needs root and a program under /opt/jupyterd. From a checkout: sudo ./install",
            file=sys.stderr,
        )
        return 2
    try:
        account = pwd.getpwnam(args.account or _present_account())
        return _install(account, share)
    except (KeyError, OSError) as error:
        print(f"jupyterd: {error}", file=sys.stderr)
    except subprocess.SubprocessError as error:
        print(f"jupyterd: {error}\n{getattr(error, 'stderr', None) or ''}", file=sys.stderr)
    return 1


def _present_account() -> str:
    try:
        text = files.DROP_IN.read_text()
    except FileNotFoundError:
        raise FileNotFoundError("the service has no account yet. Say: jupyterd install --account NAME") from None
    return next(line.removeprefix("User=") for line in text.splitlines() if line.startswith("User="))


def _install(account: pwd.struct_passwd, share: Path) -> int:
    os.umask(0o022)
    _settings_file(account)
    checked = _as_account(account, "config", "check", "--system", timeout_s=_COMMAND_TIMEOUT_S)
    if checked:
        print(f"jupyterd: nothing was started. Mend {files.SETTINGS}, then: sudo ./install", file=sys.stderr)
        return checked
    previous = files.CURRENT.readlink() if files.CURRENT.is_symlink() else None
    changed = [
        files.point(files.CURRENT, Path(sys.prefix)),
        files.point(files.COMMAND, files.CURRENT / "bin" / "jupyterd"),
        files.put(files.UNIT_DIR / files.UNIT, (share / "systemd" / files.UNIT).read_text()),
        files.put(files.USER_UNIT_DIR / files.UNIT, (share / "systemd" / "user" / files.UNIT).read_text()),
        files.put(files.CATALOG_DIR / "jupyterd.catalog", (share / "systemd" / "jupyterd.catalog").read_text()),
        files.put(files.DROP_IN, files.drop_in(_service(account))),
    ]
    if any(changed):
        install_start.run("journalctl", "--update-catalog")
        install_start.run("systemctl", "daemon-reload")
    install_start.user_manager(account.pw_name, account.pw_uid)
    _make_places(account)
    files.STATE.mkdir(mode=0o700, exist_ok=True)
    os.chown(files.STATE, account.pw_uid, account.pw_gid)
    if _as_account(account, "kernel-env", timeout_s=_ENVIRONMENT_TIMEOUT_S):
        print("jupyterd: notebooks have no Python environment yet; again: sudo ./install", file=sys.stderr)
    if not install_start.start(changed=any(changed)):
        return 1
    _forget_old_versions(keep={Path(sys.prefix), previous})
    return _as_account(account, "token", "--if-needed", timeout_s=_COMMAND_TIMEOUT_S)


def _settings_file(account: pwd.struct_passwd) -> None:
    """Makes it where there is none; one that is there keeps its text, but the account must be able to read it."""
    if not files.SETTINGS.exists():
        chosen: dict[str, object] = {"server.ip": ["*"]}
        if account.pw_uid == 0:
            chosen["server.allow_root"] = True
        files.put(files.SETTINGS, sample.text(chosen), mode=0o640, gid=account.pw_gid)
        return
    status = files.SETTINGS.stat()
    if status.st_gid != account.pw_gid and not status.st_mode & 0o004:
        os.chown(files.SETTINGS, -1, account.pw_gid)
        print(f"jupyterd: {files.SETTINGS} can now be read by the group of {account.pw_name}")


def _service(account: pwd.struct_passwd) -> files.Service:
    mine = accounts.account(account.pw_uid, {}, service=True)
    settings = load.load(load.sources("service", None, {}, {}, mine)).settings
    root = settings.server.root_dir
    paths = (root, settings.tls.certificate, settings.tls.key, settings.kernels.environment)
    return files.Service(
        account=account.pw_name,
        uid=account.pw_uid,
        home=account.pw_dir,
        port=settings.server.port,
        paths=tuple(path for path in paths if path.startswith("/")),
        writable=(root, *files.linked(Path(root)), *(f"{account.pw_dir}/{place}" for place in _OF_JUPYTER)),
    )


def _make_places(account: pwd.struct_passwd) -> None:
    """As the account, whose home may hold links. Where one is missing, the sandbox could not open it."""
    wanted = [f"{account.pw_dir}/{place}" for place in _OF_JUPYTER]
    subprocess.run(
        ["mkdir", "--parents", "--mode=700", *wanted],
        user=account.pw_uid, group=account.pw_gid, extra_groups=(), cwd="/", timeout=_COMMAND_TIMEOUT_S, check=False,
    )  # fmt: skip


def _as_account(account: pwd.struct_passwd, *verb: str, timeout_s: float) -> int:
    """Runs a verb of this environment as the service will: its account, its directories."""
    environ = {name: value for name, value in os.environ.items() if name.startswith(_HANDED_ON)}
    environ |= {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": account.pw_dir,
        "USER": account.pw_name,
        "LOGNAME": account.pw_name,
        "JUPYTERD_MODE": "service",
        "STATE_DIRECTORY": str(files.STATE),
        "RUNTIME_DIRECTORY": "/run/jupyterd",
        "XDG_RUNTIME_DIR": f"/run/user/{account.pw_uid}",
    }
    done = subprocess.run(
        [str(Path(sys.prefix, "bin", "jupyterd")), *verb],
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=os.getgrouplist(account.pw_name, account.pw_gid),
        env=environ,
        cwd="/",
        timeout=timeout_s,
        check=False,
    )
    return done.returncode


def _forget_old_versions(keep: set[Path | None]) -> None:
    """The one before this stays: its processes may still be at work."""
    for each in files.CURRENT.parent.iterdir():
        if each.is_dir() and not each.is_symlink() and each not in keep:
            shutil.rmtree(each, ignore_errors=True)
