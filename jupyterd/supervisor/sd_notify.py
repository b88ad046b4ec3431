"""What systemd is told (sd_notify(3)) and asked to keep (FDSTORE). Without NOTIFY_SOCKET it does nothing.

Decides nothing but when the watchdog is due. sdnotify finds the socket (__main__.py); its own notify() is not
used: it encodes latin-1, swallows every error, blocks, and passes no descriptors.
"""

from __future__ import annotations

import array
import socket
import time
from collections import deque

from jupyterd.core.effects import Notify

_WAITING_MOST = 32
"""Messages kept for a systemd that does not read now (it re-executes, say)."""


class Notifier:
    """Owns the socket to systemd."""

    def __init__(self, connected: socket.socket | None, watchdog_s: float) -> None:
        """`connected`: SystemdNotifier().socket; `watchdog_s`: WATCHDOG=1 is due this often, 0: nobody watches."""
        self._socket = connected
        self._every_s = watchdog_s if connected is not None else 0.0
        self._attested = 0.0
        self._status: str | None = None
        self._waiting: deque[tuple[bytes, tuple[int, ...]]] = deque(maxlen=_WAITING_MOST)

    def notify(self, notify: Notify) -> None:
        """One datagram; STATUS only when it is another than before."""
        lines = []
        if notify.reloading:
            lines += ["RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"]
        if notify.ready:
            lines.append("READY=1")
        if notify.stopping:
            lines.append("STOPPING=1")
        if notify.extend_timeout_s is not None:
            lines.append(f"EXTEND_TIMEOUT_USEC={int(notify.extend_timeout_s * 1_000_000)}")
        if notify.status is not None and notify.status != self._status:
            self._status = notify.status
            lines.append("STATUS=" + notify.status.replace("\n", " "))
        if lines:
            self._send("\n".join(lines))

    def keep(self, name: str, fd: int) -> None:
        """Give systemd a listening socket to hold over a restart or a crash of the supervisor."""
        self._send(f"FDSTORE=1\nFDNAME={name}", fd)

    def drop(self, name: str) -> None:
        """Take it out of the store again."""
        self._send(f"FDSTOREREMOVE=1\nFDNAME={name}")

    def rest(self, now: float, *, healthy: bool) -> float | None:
        """At the end of an iteration: WATCHDOG=1 if healthy and half due. Gives when to come again at the latest."""
        self._flush()
        if not self._every_s:
            return None
        if healthy and now >= self._attested + self._every_s / 2:
            self._attested = now
            self._send("WATCHDOG=1")
        # An unhealthy one does not spin: it looks again in half a period, or at the next event.
        return max(self._attested, now - self._every_s / 2) + self._every_s

    def close(self) -> None:
        """Close the socket to systemd."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, text: str, *fds: int) -> None:
        if self._socket is not None:
            self._waiting.append((text.encode(errors="replace"), fds))
            self._flush()

    def _flush(self) -> None:
        """Send what waits, in order. What systemd cannot take now waits for the next call; no error stops us."""
        while self._waiting and self._socket is not None:
            data, fds = self._waiting[0]
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
            try:
                self._socket.sendmsg([data], rights, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:  # the socket is gone, or a descriptor is: nothing that waiting cures
                pass
            self._waiting.popleft()
