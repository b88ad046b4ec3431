"""How the person at this terminal reaches this machine: user, host and port for the `ssh -L` line.

Asks no name server.
"""

from __future__ import annotations

import ipaddress
import os
import pwd
import socket
from collections.abc import Mapping
from pathlib import Path

import attrs

from jupyterd.linux import proc

SSHD_PORT = 22
_PRIVILEGED = 1024
ANCESTORS_MAX = 32
BEHIND = "this machine is behind address translation: if that host does not work, use the one that you log in to"


@attrs.frozen
class SshTarget:
    """`note` is "", or one sentence about what `host` could not know."""

    user: str
    host: str
    port: int = SSHD_PORT
    note: str = ""

    def command(self, options: str) -> str:
        """The line to type at the other end."""
        port = "" if self.port == SSHD_PORT else f"-p {self.port} "
        return f"ssh {options} {port}{self.user}@{self.host}"

    def tunnel(self, end: str, port: int) -> tuple[int, str]:
        """(the port at the other end, the line to type there) that leads to `port` at the host `end` as this machine
        sees it. An ordinary account may not listen below 1024.
        """
        local = port if port >= _PRIVILEGED else port + 8000
        return local, self.command(f"-N -L {local}:{end}:{port}")


def here() -> SshTarget:
    """From the environment of this process and of its ancestors."""
    connection = os.environ.get("SSH_CONNECTION") or _inherited()
    return find(os.environ, os.getuid(), connection, _name(), _primary_address())


def find(environ: Mapping[str, str], uid: int, connection: str, name: str, address: str) -> SshTarget:
    """`connection` as sshd sets it (client, port, server, port; ssh(1)) or ""; `name` and `address` of the machine."""
    # The user who called sudo is one who can log in, whether sudo led to root or to the service's account.
    user = environ.get("SUDO_USER", "root")
    user = _user(uid) if user == "root" else user
    parts = connection.split()
    if len(parts) == 4 and parts[3].isdecimal():  # noqa: PLR2004 - the four of SSH_CONNECTION
        client, server = _address(parts[0]), _address(parts[2])
        if client is not None and server is not None:
            if server.is_private and client.is_global:
                return SshTarget(user, str(server), int(parts[3]), BEHIND)
            return SshTarget(user, str(server), int(parts[3]))
    # A name without a dot can usually be resolved on this machine only.
    return SshTarget(user, name if "." in name else address or name)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return os.environ.get("USER", "user")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _inherited() -> str:
    """SSH_CONNECTION of the nearest ancestor: sudo takes it out of the environment, and root may read it there."""
    pid = os.getppid()
    for _ in range(ANCESTORS_MAX):
        try:
            at = Path(f"/proc/{pid}")
            if at.stat().st_uid != os.geteuid():  # reading another account's memory may take as long as it likes
                return ""
            environ = (at / "environ").read_bytes().split(b"\0")
        except OSError:
            return ""
        for entry in environ:
            if entry.startswith(b"SSH_CONNECTION="):
                return entry.partition(b"=")[2].decode("ascii", "replace")
        found = proc.stat(pid)
        if found is None or found.parent <= 1:
            return ""
        pid = found.parent
    return ""


def _name() -> str:
    return socket.gethostname()


def _primary_address() -> str:
    """The address of the interface that the default route uses; connecting a datagram socket sends nothing (udp(7))."""
    for family, far in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((far, 9))
                return str(probe.getsockname()[0])
        except OSError:
            continue
    return ""
