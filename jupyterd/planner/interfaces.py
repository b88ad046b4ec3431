"""The addresses of this machine, without netlink(7), which the service's sandbox has not."""

from __future__ import annotations

import array
import fcntl
import ipaddress
import socket
import struct
from pathlib import Path

IF_INET6 = Path("/proc/net/if_inet6")
_SIOCGIFCONF = 0x8912
_ROOM = 1024
"""Addresses; the kernel leaves out what does not fit (netdevice(7))."""
_ENTRY = struct.Struct("16s16x" if struct.calcsize("P") == 4 else "16s24x")  # noqa: PLR2004 - a 32-bit machine
"""struct ifreq: a name, then a socket address whose bytes 4 to 8 are the address."""


def look() -> list[tuple[str, str]]:
    """(interface, address): IPv4, then IPv6. Aliases (eth0:1) are told with their own names."""
    return [*_ipv4(), *_ipv6()]


def _ipv4() -> list[tuple[str, str]]:
    room = array.array("B", bytes(_ENTRY.size * _ROOM))
    where, length = room.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        told = fcntl.ioctl(asked, _SIOCGIFCONF, struct.pack("iP", length, where))
    (used,) = struct.unpack_from("i", told)
    data = room.tobytes()[:used]
    return [
        (data[at : at + 16].partition(b"\0")[0].decode(errors="replace"), socket.inet_ntoa(data[at + 20 : at + 24]))
        for at in range(0, used, _ENTRY.size)
    ]


def _ipv6() -> list[tuple[str, str]]:
    """Address, index, prefix, scope, flags, name (proc_net(5)); no file where the machine speaks no IPv6."""
    if not IF_INET6.exists():
        return []
    rows = [line.split() for line in IF_INET6.read_text(encoding="ascii", errors="replace").splitlines()]
    return [(row[5], str(ipaddress.IPv6Address(bytes.fromhex(row[0])))) for row in rows]
