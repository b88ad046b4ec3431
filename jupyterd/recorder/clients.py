"""The recorder's connections with servers: one listening socket, the connections on it, whole lines."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

from jupyterd.linux import kept
from jupyterd.linux.lines import Lines
from jupyterd.protocol import recorder_channel
from jupyterd.protocol.recorder_channel import Asked, FromRecorder, NotKept, Told, ToRecorder, Yours

_READ = 65536


class Clients:
    """Owns the sockets. Nobody can connect before `listen`."""

    def __init__(self, path: Path) -> None:
        self.listener = _socket()
        self._inode = 0
        self._path = path
        self._open: dict[int, tuple[socket.socket, Lines]] = {}

    def listen(self) -> None:
        """Bind the socket (0600) and accept connections. OSError if it cannot be bound."""
        try:
            self._path.unlink(missing_ok=True)  # of an earlier recorder: the lock says that there is no other
        except (IsADirectoryError, PermissionError):
            kept.clear(self._path)
        self.listener.bind(str(self._path))
        self._path.chmod(0o600)
        self.listener.listen(8)
        self._inode = self._path.lstat().st_ino

    def keep_place(self) -> None:
        """Listen again if somebody has removed or replaced the socket's file. OSError."""
        with contextlib.suppress(FileNotFoundError):
            if self._path.lstat().st_ino == self._inode:
                return
        self.listener.close()
        self.listener = _socket()
        self.listen()

    def descriptors(self) -> list[int]:
        """All that can become readable."""
        return [self.listener.fileno(), *self._open]

    def accept(self) -> None:
        """Accept one connection."""
        with contextlib.suppress(OSError):
            made, _ = self.listener.accept()
            made.settimeout(0)
            self._open[made.fileno()] = (made, Lines(recorder_channel.LINE_MAX))

    def read(self, descriptor: int) -> list[ToRecorder] | None:
        """The complete messages that have arrived on `descriptor`; None when the connection is closed."""
        client, lines = self._open[descriptor]
        try:
            data = client.recv(_READ)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        received = list(lines.feed(data))
        if not data or None in received:
            del self._open[descriptor]
            client.close()
            return None
        messages = (_known(line) for line in received if line is not None)
        return [each for each in messages if each is not None and not isinstance(each, Asked | NotKept | Told | Yours)]

    def answer(self, descriptor: int, message: FromRecorder) -> None:
        """Send one message; it is dropped if the other side does not read."""
        with contextlib.suppress(OSError):
            self._open[descriptor][0].send(recorder_channel.encode(message))

    def close(self) -> None:
        """Close all sockets."""
        with contextlib.suppress(OSError):
            if self._path.lstat().st_ino == self._inode:  # another recorder's stays
                self._path.unlink()
        self.listener.close()
        for each, _ in self._open.values():
            each.close()


def _socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)


def _known(line: bytes) -> ToRecorder | FromRecorder | None:
    try:
        return recorder_channel.decode(line)
    except ValueError:  # of a later version
        return None
