"""The addresses of this machine's network interfaces. Cheap enough to be read every few seconds (two system calls and
one small file); the supervisor imports it, so the standard library's small modules only.

Not by netlink(7): the sandbox of jupyterd.service has no such sockets (RestrictAddressFamilies=).
"""

from __future__ import annotations

import array
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

IF_INET6 = "/proc/net/if_inet6"
_SIOCGIFCONF = 0x8912
_ROOM, _ROOM_MOST = 32, 4096
"""How many addresses fit at first, and at most; the Linux kernel leaves out the others (netdevice(7))."""
_ENTRY = struct.Struct("16s16x" if struct.calcsize("P") == 4 else "16s24x")  # noqa: PLR2004 - a 32-bit machine
"""struct ifreq: a name, then a socket address whose bytes 4 to 8 are the address."""
_LINK = 0x20
"""IPV6_ADDR_LINKLOCAL, the column "scope"."""
_TEMPORARY, _DAD_FAILED, _DEPRECATED, _TENTATIVE = 0x01, 0x08, 0x20, 0x40
"""IFA_F_* of linux/if_addr.h, the column "flags"."""


@dataclass(frozen=True, slots=True)
class Held:
    """An address of an interface. `usable`: connections may use it now; an IPv6 address that is still being checked for
    a duplicate, or is one, may not. `lasting`: neither a temporary IPv6 address (RFC 8981: a new one each day) nor a
    deprecated one. `link_local`: of one network segment (169.254.0.0/16, fe80::/10).
    """

    interface: str
    address: str
    usable: bool = True
    lasting: bool = True
    link_local: bool = False


def held() -> Iterator[Held]:
    """Every address, loopback included: IPv4, then IPv6. Aliases (eth0:1) have their own names. OSError if the Linux
    kernel does not answer.
    """
    yield from _ipv4()
    yield from _ipv6()


def present() -> tuple[str, ...]:
    """The usable addresses, sorted, without link-local ones; () if they cannot be read. Two equal answers mean that
    nothing has changed.
    """
    try:
        return tuple(sorted({each.address for each in held() if each.usable and not each.link_local}))
    except OSError:
        return ()


def _ipv4(room: int = _ROOM) -> Iterator[Held]:
    buffer = array.array("B", bytes(_ENTRY.size * room))
    where, length = buffer.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
        answer = fcntl.ioctl(any_socket, _SIOCGIFCONF, struct.pack("iP", length, where))
    (used,) = struct.unpack_from("i", answer)
    if used == length and room < _ROOM_MOST:
        yield from _ipv4(4 * room)
        return
    data = buffer.tobytes()
    for at in range(0, used, _ENTRY.size):
        name = data[at : at + 16].partition(b"\0")[0].decode(errors="replace")
        address = socket.inet_ntoa(data[at + 20 : at + 24])
        yield Held(name, address, link_local=address.startswith("169.254."))


def _ipv6() -> Iterator[Held]:
    """Address, index, prefix, scope, flags, name (proc_net(5)); nothing if the machine has no IPv6."""
    try:
        fd = os.open(IF_INET6, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    with os.fdopen(fd, encoding="ascii", errors="replace") as file:
        for line in file:
            address, _, _, scope, flags_text, name = line.split()
            flags = int(flags_text, 16)
            yield Held(
                name,
                socket.inet_ntop(socket.AF_INET6, bytes.fromhex(address)),
                usable=not flags & (_TENTATIVE | _DAD_FAILED),
                lasting=not flags & (_TEMPORARY | _DEPRECATED),
                link_local=int(scope, 16) == _LINK,
            )
