"""Notifies systemd (sd_notify(3)) and gives it descriptors to keep (FDSTORE). Without NOTIFY_SOCKET it does nothing.

Decides nothing but when the watchdog is due. sdnotify finds the socket (main.py); its own notify() is not
used: it encodes latin-1, swallows every error, blocks, and passes no descriptors.
"""

from __future__ import annotations

import array
import socket
import time
from collections import deque

from jupyterd.core.effects import Notify

_WAITING_MOST = 32
"""Messages kept while systemd does not read (it re-executes, say)."""


class Notifier:
    """Owns the socket to systemd."""

    def __init__(self, connected: socket.socket | None, watchdog_s: float) -> None:
        """`connected`: SystemdNotifier().socket; `watchdog_s`: WATCHDOG=1 is due this often, 0: no watchdog."""
        self._socket = connected
        self._every_s = watchdog_s if connected is not None else 0.0
        self._attested = 0.0
        self._status: str | None = None
        self._waiting: deque[tuple[bytes, tuple[int, ...]]] = deque(maxlen=_WAITING_MOST)

    def notify(self, notify: Notify) -> None:
        """Send the notification as one datagram; STATUS only when it has changed."""
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
        """Remove the socket with this name from systemd's store."""
        self._send(f"FDSTOREREMOVE=1\nFDNAME={name}")

    def rest(self, now: float, *, healthy: bool) -> float | None:
        """Send WATCHDOG=1 if `healthy` and half its period has passed. Returns when it must be called again."""
        self._flush()
        if not self._every_s:
            return None
        if healthy and now >= self._attested + self._every_s / 2:
            self._attested = now
            self._send("WATCHDOG=1")
        # An unhealthy loop does not spin: it is checked again in half a period, or at the next event.
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
        """Send the queued messages. What systemd cannot take now waits for the next call; errors are ignored."""
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
