"""Sends the sampler's frames to whoever connects to its socket, or to standard output when it is started by hand.

A frame is a line of bytes here. A reader that does not read is disconnected: no frame waits for long.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import select
import socket
import time

from jupyterd.linux import kept, proc
from jupyterd.protocol import sampler_lock
from jupyterd.protocol.sampler_lock import LockOwner, SamplerArguments, SamplerPaths

_STDOUT = 1
_BACKLOG = 8
_SEND_S = 2.0
_SEND_BYTES = 1 << 20
_ALONE_S = 900.0
"""A sampler without a reader for this long exits: the service has been stopped for good, or removed."""
_HANDED = "JUPYTERD_GPU_FDS"


class Output:
    """Standard output. The sampler ends when the reader of that pipe has gone."""

    def __init__(self) -> None:
        os.set_blocking(_STDOUT, True)  # half a frame would spoil the next one

    def send(self, line: bytes) -> bool:
        """Write the line. False when nobody reads any more."""
        while line:
            try:
                line = line[os.write(_STDOUT, line) :]
            except BrokenPipeError:
                return False
        return True

    def wait(self, until: float) -> bool:
        """Wait until then (monotonic s). False as soon as nobody reads any more (poll(2) reports POLLERR unasked)."""
        poll = select.poll()
        poll.register(_STDOUT, 0)
        return not poll.poll(_ms(until))

    def hand_on(self) -> None:
        """Call before exec; standard output stays open anyway."""

    def close(self) -> None:
        """Nothing to close: standard output is not ours."""


class Readers:
    """Owns the lock, the listening socket and the readers' connections. BlockingIOError: another sampler has the lock.

    `arguments` go into the lock file, for the relay to compare.
    """

    def __init__(self, places: SamplerPaths, arguments: SamplerArguments) -> None:
        self._last = b""
        handed = os.environ.pop(_HANDED, "")
        if handed:
            lock, listening, *readers = (int(each) for each in handed.split(","))
            for fd in (lock, listening, *readers):
                os.set_inheritable(fd, False)
            self._lock, self._listening = lock, socket.socket(fileno=listening)
            self._readers = [socket.socket(fileno=fd) for fd in readers]
        else:
            self._lock = kept.open_locked(places.lock)
            self._listening = _listen(places)
            self._readers = []
        self._path = places.lock
        os.ftruncate(self._lock, 0)
        owner = LockOwner(os.getpid(), proc.started(os.getpid()) or 0, arguments)
        os.pwrite(self._lock, sampler_lock.encode(owner), 0)
        self._alone_since = time.monotonic()

    def send(self, line: bytes) -> bool:
        """Send the line to all readers. False when there has been none for 15 minutes, or the lock file is no longer
        there: then another sampler may hold a new one.
        """
        self._last = line
        for each in tuple(self._readers):
            self._give(each, line)
        if self._readers:
            self._alone_since = time.monotonic()
        return time.monotonic() < self._alone_since + _ALONE_S and self._holds_lock()

    def _holds_lock(self) -> bool:
        try:
            found = os.lstat(self._path)
        except OSError as error:
            return error.errno != errno.ENOENT  # a broken disk says nothing about the file
        ours = os.fstat(self._lock)
        return (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino)

    def wait(self, until: float) -> bool:
        """Wait until then (monotonic s); a reader that connects meanwhile gets the last frame at once."""
        while True:
            poll = select.poll()
            poll.register(self._listening, select.POLLIN)
            by_fd = {each.fileno(): each for each in self._readers}
            for fd in by_fd:
                poll.register(fd, select.POLLRDHUP)
            ready = poll.poll(_ms(until))
            for fd, _ in ready:
                if fd in by_fd:
                    self._leave(by_fd[fd])
                else:
                    self._welcome()
            if not ready:
                return True

    def hand_on(self) -> None:
        """Call before exec: the same program takes the descriptors over (execve(2) keeps inheritable ones)."""
        fds = [self._lock, self._listening.detach(), *(each.detach() for each in self._readers)]
        for fd in fds:
            os.set_inheritable(fd, True)
        os.environ[_HANDED] = ",".join(map(str, fds))

    def close(self) -> None:
        """Close everything, and so release the lock."""
        for each in (self._listening, *self._readers):
            each.close()
        os.close(self._lock)

    def _welcome(self) -> None:
        try:
            reader, _ = self._listening.accept()
        except OSError:
            return  # the reader has gone already
        reader.settimeout(_SEND_S)
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)
        self._readers.append(reader)
        self._give(reader, self._last)

    def _give(self, reader: socket.socket, line: bytes) -> None:
        try:
            reader.sendall(line)
        except OSError:
            self._leave(reader)

    def _leave(self, reader: socket.socket) -> None:
        with contextlib.suppress(ValueError):
            self._readers.remove(reader)
        reader.close()


def _listen(places: SamplerPaths) -> socket.socket:
    places.socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept.remove(places.socket)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    before = os.umask(0o177)
    try:
        listening.bind(str(places.socket))
    finally:
        os.umask(before)
    listening.settimeout(0)
    listening.listen(_BACKLOG)
    return listening


def _ms(until: float) -> int:
    return math.ceil(max(0.0, until - time.monotonic()) * 1000)
