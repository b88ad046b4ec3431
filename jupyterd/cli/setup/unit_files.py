"""What ./install writes outside /opt: texts from values, and putting them in place without a torn file.

Knows no settings and starts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from jupyterd.linux import files, unit_file

UNIT = "jupyterd.service"
UNIT_DIR = Path("/usr/local/lib/systemd/system")
USER_UNIT_DIR = Path("/usr/local/lib/systemd/user")
CATALOG_DIR = Path("/usr/local/lib/systemd/catalog")
DROP_IN = Path("/etc/systemd/system/jupyterd.service.d/account.conf")
SETTINGS = Path("/etc/jupyterd/jupyterd.toml")
COMMAND = Path("/usr/local/bin/jupyterd")
CURRENT = Path("/opt/jupyterd/current")
STATE = Path("/var/lib/jupyterd")
PRIVILEGED_PORTS = range(1, 1024)
_ROOTS_HOME = "/root"
"""One of the directories of ProtectHome=: to let root's own server write to it, ProtectHome=no is needed."""


@dataclass(frozen=True, slots=True)
class Service:
    """The account, and the settings that the unit file depends on."""

    account: str
    uid: int
    home: str
    port: int
    paths: tuple[str, ...]
    """Absolute paths that the settings name: root directory, certificate, environment of notebooks."""
    writable: tuple[str, ...]
    """What the server itself writes beside its state, as sandbox.decide allows it."""


@dataclass(frozen=True, slots=True)
class Put:
    """A file with this text, owned by root."""

    path: Path
    text: str

    @property
    def is_so(self) -> bool:
        """Whether the file already has this text."""
        return self.path.is_file() and self.path.read_bytes() == self.text.encode()

    def do(self) -> None:
        """Write the file."""
        put(self.path, self.text)


@dataclass(frozen=True, slots=True)
class Point:
    """A symbolic link."""

    path: Path
    target: Path

    @property
    def is_so(self) -> bool:
        """Whether the link already leads there."""
        return self.path.is_symlink() and self.path.readlink() == self.target

    def do(self) -> None:
        """Make or move the link. FileExistsError if something else exists at its path."""
        point(self.path, self.target)


def pieces(service: Service, prefix: Path) -> tuple[Put | Point, ...]:
    """Everything that makes the program at `prefix` the machine's service. OSError if the program is incomplete."""
    return (*program(prefix), Put(DROP_IN, drop_in(service)))


def program(prefix: Path) -> tuple[Put | Point, ...]:
    """What makes the version at `prefix` the one that runs. OSError if it is incomplete."""
    units = prefix / "share" / "jupyterd" / "systemd"
    return (
        Point(CURRENT, prefix),
        Point(COMMAND, CURRENT / "bin" / "jupyterd"),
        Put(UNIT_DIR / UNIT, (units / UNIT).read_text()),
        Put(USER_UNIT_DIR / UNIT, (units / "user" / UNIT).read_text()),
        Put(CATALOG_DIR / "jupyterd.catalog", (units / "jupyterd.catalog").read_text()),
    )


def drop_in(service: Service) -> str:
    """The text of account.conf."""
    mounts = [unit for path in service.paths for unit in unit_file.mount_units(path) if not _within(path, service.home)]
    manager = f"user@{service.uid}.service"
    lines = [
        "# ./install writes this file from the account and the settings. Your own changes: systemctl edit jupyterd",
        "[Unit]",
        "# systemd.special(7): kernels run in the account's user manager, which starts before this and stops after.",
        unit_file.units("Wants", [manager]),
        unit_file.units("After", [manager]),
        "# systemd.unit(5): nothing works without the home directory.",
        unit_file.words("RequiresMountsFor", service.home),
    ]
    if mounts:
        unique = list(dict.fromkeys(mounts))
        lines += [
            "# systemd.mount(5): mount these disks first. The service also starts without them and waits.",
            unit_file.units("Wants", unique),
            unit_file.units("After", unique),
        ]
    lines += [
        "",
        "[Service]",
        unit_file.plain("User", service.account),
        "# Where the user manager listens; systemd does not set this for a system service.",
        f"Environment=XDG_RUNTIME_DIR=/run/user/{service.uid}",
    ]
    lines.append(
        "# systemd.exec(5): what the server may write outside its own directories. `-`: ignored if it does not exist."
    )
    lines += [unit_file.words("ReadWritePaths", f"-{path}") for path in dict.fromkeys(service.writable)]
    if shares_tmp(service):
        lines += ["# The root directory is below the machine's own /tmp or /var/tmp.", "PrivateTmp=no"]
    if _ROOTS_HOME in service.writable:
        lines += [
            "# systemd.exec(5): of two lines about one path the stricter counts; ProtectSystem=strict holds.",
            "ProtectHome=no",
        ]
    if service.port in PRIVILEGED_PORTS:
        lines += [
            "# capabilities(7): without this only root may use ports below 1024.",
            "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
            "AmbientCapabilities=CAP_NET_BIND_SERVICE",
        ]
    return unit_file.text(lines)


def shares_tmp(service: Service) -> bool:
    """Whether the server has to see the machine's own /tmp and /var/tmp (PrivateTmp=no)."""
    return any(_within(path, temporary) for path in service.writable for temporary in ("/tmp", "/var/tmp"))  # noqa: S108


def _within(path: str, directory: str | Path) -> bool:
    return PurePosixPath(path).is_relative_to(directory)


def put(path: Path, text: str, mode: int = 0o644, uid: int = 0, gid: int = 0) -> bool:
    """Replace the file in one step; False if it already has this text."""
    data = text.encode()
    if path.is_file() and path.read_bytes() == data:
        return False
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    files.replace(path, data, mode=mode, owner=(uid, gid), durable=True)
    return True


def point(link: Path, target: Path) -> bool:
    """Make or move a symbolic link in one step; False if it is there already. FileExistsError if it is not a link."""
    if link.is_symlink():
        if link.readlink() == target:
            return False
    elif link.exists():
        raise FileExistsError(f"{link} exists and was not made by jupyterd. Move it away, then run ./install again")
    link.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    new = link.with_name(f".{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.rename(link)
    return True
