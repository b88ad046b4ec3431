"""The listening sockets: exactly the wanted ones, kept in systemd's fd store over a crash or restart.

Only the server and the spare inherit them.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterable
from contextlib import suppress
from typing import Literal

from jupyterd.core.events import BindFailed, Bound
from jupyterd.linux.port_owner import holder
from jupyterd.protocol.plan import Listen
from jupyterd.supervisor.sd_notify import Notifier

_BACKLOG = 1024
"""How many connections may wait while the server is replaced; the kernel caps it at net.core.somaxconn."""
_REASONS: dict[int | None, Literal["busy", "absent", "denied"]] = {
    errno.EADDRINUSE: "busy",
    errno.EADDRNOTAVAIL: "absent",
    errno.EAFNOSUPPORT: "absent",  # a machine without IPv6
    errno.EACCES: "denied",
    errno.EPERM: "denied",
}


class Listeners:
    """Owns the listening sockets."""

    def __init__(self, notifier: Notifier, restored: Iterable[int] = ()) -> None:
        """`restored`: descriptors that systemd gave back (LISTEN_FDS); others than listening TCP sockets are closed."""
        self._notifier = notifier
        self._open: dict[Listen, socket.socket] = {}
        self._closed: set[int] = set()
        """Inodes of sockets that are no longer wanted; a server that has inherited them may still hold them."""
        for fd in restored:
            self._take_back(fd)

    def bind(self, wanted: tuple[Listen, ...]) -> Bound:
        """Keep wanted sockets that are open, close the others, open the missing ones."""
        for listen in [each for each in self._open if each not in wanted]:
            self._close(listen)
        failed = []
        for listen in wanted:
            if listen not in self._open:
                try:
                    self._open[listen] = _open(listen)
                except OSError as error:
                    failed.append(self._failure(listen, error))
                else:
                    self._notifier.keep(_store_name(listen), self._open[listen].fileno())
        return Bound(tuple(failed))

    def fds(self, order: tuple[Listen, ...]) -> tuple[int, ...]:
        """The descriptors of the open sockets, in the order `order`."""
        return tuple(self._open[listen].fileno() for listen in order if listen in self._open)

    def _failure(self, listen: Listen, error: OSError) -> BindFailed:
        reason = _REASONS.get(error.errno)
        if reason == "busy":
            own = frozenset(map(_inode, self._open.values()))
            return BindFailed(listen, reason, holder(listen.host, listen.port, own, self._closed))
        return BindFailed(listen, reason or "other", error.strerror or str(error))

    def _close(self, listen: Listen) -> None:
        self._notifier.drop(_store_name(listen))
        with self._open.pop(listen) as closed:
            self._closed.add(_inode(closed))

    def _take_back(self, fd: int) -> None:
        with suppress(OSError):
            if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                os.close(fd)
                return
            listener = socket.socket(fileno=fd)
            listener.set_inheritable(False)
            listener.settimeout(0)
            if (
                listener.family in (socket.AF_INET, socket.AF_INET6)
                and listener.type == socket.SOCK_STREAM
                and listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            ):
                host, port = listener.getsockname()[:2]
                self._open.setdefault(Listen(host, port), listener)
            else:
                listener.close()


def _open(listen: Listen) -> socket.socket:
    # As bytes: a str would go through the codec "idna", whose tables cost 1 MB. A literal address is never looked up.
    host = listen.host.encode("ascii")
    ((family, _, _, _, address), *_) = socket.getaddrinfo(
        host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST | socket.AI_PASSIVE
    )
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _inode(listener: socket.socket) -> int:
    return os.fstat(listener.fileno()).st_ino


def _store_name(listen: Listen) -> str:
    """The FDNAME of a socket: without a colon (sd_notify(3)). getsockname(2) gives the address after a restart."""
    return f"listen-{listen.host.replace(':', '_')}-{listen.port}"
