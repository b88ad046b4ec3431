"""Checks the settings against the machine: do they work here, now, for this account? Runs in the short-lived planner
only, because a stat() on a network disk may block.
"""

from __future__ import annotations

import errno
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import attrs

from jupyterd.linux import kept, mounts, unit_file
from jupyterd.linux.accounts import Account
from jupyterd.planner import jupyter_config
from jupyterd.protocol.plan import Trouble
from jupyterd.settings import login_store
from jupyterd.settings.address_rules import is_public
from jupyterd.settings.files import reason
from jupyterd.settings.paths import Paths
from jupyterd.settings.problems import KnownSettings, Origin, Problem
from jupyterd.settings.schema import Settings

_NAMED_MOST = 4
"""Files in one sentence."""


_SHOWN = 3


@attrs.frozen
class Checked:
    """`problems`: the user has to correct the settings (exit 78). `waiting`: the machine is not ready yet; jupyterd
    tries again. `warnings`: the server starts anyway.
    """

    problems: tuple[Problem, ...] = ()
    waiting: tuple[Trouble, ...] = ()
    warnings: tuple[Trouble, ...] = ()


def check(settings: Settings, origins: Mapping[str, Origin], paths: Paths, account: Account) -> Checked:
    """Every check. Has to run as the account, because root may read and write everything."""
    return _joined(part for _, part in _parts(settings, origins, paths, account))


def check_known(known: KnownSettings, paths: Paths, account: Account) -> Checked:
    """The same for settings of which some are invalid, without the checks that depend on an invalid one."""
    parts = _parts(known.settings, known.origins, paths, account)
    return _joined(part for names, part in parts if not known.doubtful.intersection(names))


def _parts(
    settings: Settings, origins: Mapping[str, Origin], paths: Paths, account: Account
) -> Iterator[tuple[tuple[str, ...], Checked]]:
    """Each check, with the settings that it depends on."""
    yield ("server.allow_root",), _who(settings, origins, account)
    yield ("tls.enabled", "tls.allow_plain_public"), _plain(settings, origins)
    yield ("login.password_hash", "login.token", "login.allow_password_change"), _login(settings, origins, paths)
    root = Path(settings.server.root_dir)
    yield ("server.root_dir",), _root_dir(root, origins["server.root_dir"], paths, account)
    yield ("server.root_dir", "server.hidden_files"), _hidden(settings)
    yield ("server.jupyter_config_dir",), _jupyter_config_dir(settings, origins, account)
    yield (), _foreign(paths)


def _joined(found: Iterable[Checked]) -> Checked:
    parts = tuple(found)
    return Checked(
        tuple(each for part in parts for each in part.problems),
        tuple(each for part in parts for each in part.waiting),
        tuple(each for part in parts for each in part.warnings),
    )


def _who(settings: Settings, origins: Mapping[str, Origin], account: Account) -> Checked:
    if account.uid != 0 or settings.server.allow_root:
        return Checked()
    found = f"the account is {account.name}, and server.allow_root is false"
    wanted = "every notebook could do everything to this machine"
    advice = "run it as an ordinary account, or allow it: --allow-root, or allow_root = true in [server]"
    return Checked(problems=(Problem(origins["server.allow_root"], found, wanted, advice),))


def _public(settings: Settings) -> str:
    return ", ".join(host for host in settings.server.ip if is_public(host))


def _plain(settings: Settings, origins: Mapping[str, Origin]) -> Checked:
    public = _public(settings)
    if not public or settings.tls.enabled or settings.tls.allow_plain_public:
        return Checked()
    found = f"tls.enabled is false, and server.ip contains {public}"
    wanted = "passwords and notebooks would cross the network in the clear"
    advice = (
        'delete enabled = false (jupyterd makes a certificate by itself), or write ip = ["localhost"] in [server], '
        "or allow_plain_public = true in [tls] if your own reverse proxy adds TLS"
    )
    return Checked(problems=(Problem(origins["tls.enabled"], found, wanted, advice),))


def _login(settings: Settings, origins: Mapping[str, Origin], paths: Paths) -> Checked:
    public, login = _public(settings), settings.login
    if not public or login.password_hash or login.token or login.allow_password_change or _has_password(paths.login):
        return Checked()
    found = f"there is no password and no token, the browser may not set a password, and server.ip contains {public}"
    advice = "set login.password_hash (jupyterd config hash) or login.token, or delete allow_password_change = false"
    origin = origins["login.allow_password_change"]
    return Checked(problems=(Problem(origin, found, "nobody could log in", advice),))


def _has_password(login: Path) -> bool:
    try:
        return login_store.has_password(login)
    except (OSError, ValueError):
        return False  # the program that writes this file reports what is wrong with it


def _root_dir(root: Path, origin: Origin, paths: Paths, account: Account) -> Checked:
    shown = f"server.root_dir {root}"
    typed = shlex.quote(str(root))
    try:
        os.scandir(root).close()
    except FileNotFoundError:
        return _late(paths, origin, f"{shown} does not exist", f"type: mkdir -p {typed}   (or mount its disk)")
    except PermissionError:
        found = f"{shown} cannot be read or entered by {account.name}"
        return _refused(
            origin, found, f"see which part of the path refuses it: namei -l {typed}; or set another root_dir"
        )
    except NotADirectoryError:
        return _refused(origin, f"{shown} is not a directory", "set another root_dir")
    except OSError as error:  # a stale network disk, an I/O error
        return _late(
            paths, origin, f"{shown} cannot be read ({reason(error)})", "look at its disk: findmnt -T " + typed
        )
    if os.access(root, os.W_OK | os.X_OK, effective_ids=True):
        return Checked()
    return _unwritable(root, origin, paths, account)


def _unwritable(root: Path, origin: Origin, paths: Paths, account: Account) -> Checked:
    shown = f"server.root_dir {root}"
    match _read_only(root):
        case "disk":
            advice = f"type: sudo mount -o remount,rw {shlex.quote(_mount(root))}"
            return _late(paths, origin, f"{shown} is on a disk that is read-only", advice)
        case "here":
            return _refused(origin, f"the sandbox of the service does not allow writing to {shown}", opening(root))
        case None:
            found = f"{shown} cannot be written by {account.name}"
            return _refused(
                origin, found, f"type: sudo chown {account.name} {shlex.quote(str(root))}; or set another root_dir"
            )


def unwritable(error: OSError, paths: Paths) -> Trouble:
    """The state directory takes no more: a full or read-only disk, which somebody has to look at."""
    state = shlex.quote(str(paths.state))
    return Trouble("state-unwritable", kept.unwritable(error), f"df -h {state}; findmnt -T {state}; ls -ld {state}")


def set_aside(paths: Paths) -> tuple[Trouble, ...]:
    """What was damaged and set aside, in every directory that jupyterd keeps, until somebody has looked at it."""
    places = (paths.state, paths.runtime, paths.self_signed.parent, paths.kernel_records, paths.terminal_records)
    spools = sorted(each for each in paths.spool.glob("*/") if kept.ASIDE not in each.name)
    found = [
        each for place in (*places, paths.kernel_sockets, paths.spool, *spools) for each in kept.set_aside_in(place)
    ]
    if not found:
        return ()
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    text = f"damaged files were set aside: {', '.join(map(str, found[:_SHOWN]))}{more}"
    advice = f"look at them, delete them (rm -r {shlex.quote(str(found[0]))}), then type: jupyterd reload"
    return (Trouble("set-aside", text, advice),)


def opening(path: Path) -> str:
    """What to type so that the service's sandbox allows writing there, which needs a restart of the unit."""
    return (
        "type: sudo ./install; or: sudo systemctl edit jupyterd, write below [Service] "
        f"{unit_file.words('ReadWritePaths', f'-{path}')}, then sudo systemctl restart jupyterd"
    )


def _refused(origin: Origin, found: str, advice: str) -> Checked:
    return Checked(problems=(Problem(origin, found, advice=advice),))


def _late(paths: Paths, origin: Origin, found: str, advice: str) -> Checked:
    """A service waits for a disk that is mounted late; in a terminal the user gets the problem at once."""
    if paths.mode == "foreground":
        return _refused(origin, found, advice)
    return Checked(waiting=(Trouble("root-dir", f"{found} ({origin})", advice),))


def _read_only(root: Path) -> Literal["disk", "here"] | None:
    """Whether the whole file system is read-only ("disk"), or only this mount of it ("here"): a bind mount, such as
    systemd's sandbox makes. None: neither.
    """
    try:
        if not os.statvfs(root).f_flag & os.ST_RDONLY:
            return None
    except OSError as error:
        return "disk" if error.errno == errno.EROFS else None
    found = mounts.holding(mounts.own(), os.path.realpath(root))
    return "disk" if found is not None and "ro" in found.of_disk else "here"


def _mount(root: Path) -> str:
    found = mounts.holding(mounts.own(), os.path.realpath(root))
    return str(root) if found is None else found.point


def _hidden(settings: Settings) -> Checked:
    parts = [part for part in Path(settings.server.root_dir).parts if part.startswith(".")]
    if settings.server.hidden_files or not parts:
        return Checked()
    text = f"server.root_dir {settings.server.root_dir} has a hidden part ({parts[0]}), and hidden files are not shown"
    return Checked(
        warnings=(Trouble("root-dir-hidden", text, "write hidden_files = true in [server], or move the directory"),)
    )


def _foreign(paths: Paths) -> Checked:
    found = jupyter_config.foreign(paths.jupyter_config)
    if not found:
        return Checked()
    names = [shlex.quote(each.name) if each.name.isprintable() else ascii(each.name) for each in found[:_NAMED_MOST]]
    more = f" and {len(found) - _NAMED_MOST} more" if len(found) > _NAMED_MOST else ""
    text = f"{', '.join(names)}{more} in {paths.jupyter_config}: not loaded, this directory is jupyterd's own"
    advice = "move it to a directory of your own, and name that in [server] jupyter_config_dir; or delete it"
    return Checked(warnings=(Trouble("foreign-configuration", text, advice),))


def _jupyter_config_dir(settings: Settings, origins: Mapping[str, Origin], account: Account) -> Checked:
    directory = settings.server.jupyter_config_dir
    if not directory:
        return Checked()
    origin, typed = origins["server.jupyter_config_dir"], shlex.quote(directory)
    shown = f"server.jupyter_config_dir {directory}"
    try:
        os.scandir(directory).close()
    except FileNotFoundError:
        return _refused(origin, f"{shown} does not exist", f"type: mkdir -p {typed}; or delete the line")
    except NotADirectoryError:
        found, parent = f"{shown} is a file", shlex.quote(str(Path(directory).parent))
        return _refused(origin, found, f"give the directory that contains it: {parent}")
    except OSError as error:
        found = f"{shown} cannot be read by {account.name} ({reason(error)})"
        return _refused(origin, found, f"see which part of the path refuses it: namei -l {typed}")
    return Checked()
