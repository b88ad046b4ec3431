"""Large bodies from clients without a login, for bench/load: what they cost the server's memory and its user."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import common
from common import UNVERIFIED

CONNECTIONS = 8
BYTES = 300_000_000
PIECE = 1_000_000
PATIENCE_S = 120.0
SETTLED_S = 2.0
"""Memory that does not change for so long is settled: a spare is still importing when the first server answers."""
SETTLED_BYTES = 1_000_000
STARTING_S = 60.0
EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Found:
    """The results of one side. Memory in bytes, of all its processes."""

    before: int
    peak: int
    after: int
    sent: int
    """What the clients could send, of CONNECTIONS times BYTES."""
    statuses: tuple[str, ...]
    """What they were answered; "closed" where the connection ended without one."""
    took_s: float
    longest_s: float | None
    """The slowest answer to the user meanwhile; None: one was not served."""


def measure(root: int, port: int, ask: Callable[[int], float | None]) -> Found:
    """Send all bodies at once to the server on `port`, whose first process is `root`."""
    pids, before = _settled(root)
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # proc(5): the high-water mark begins here
    answers: list[tuple[int, str]] = []
    began = time.monotonic()
    threads = [
        threading.Thread(target=lambda number=number: answers.append(_push(port, number)))
        for number in range(CONNECTIONS)
    ]
    for each in threads:
        each.start()
    asked: list[float | None] = []
    while any(each.is_alive() for each in threads):
        asked.append(ask(port))
        time.sleep(EVERY_S)
    took_s = time.monotonic() - began
    time.sleep(SETTLED_S)
    served = [each for each in asked if each is not None]
    return Found(
        before, _memory(pids, "VmHWM"), _memory(pids, "VmRSS"), sum(sent for sent, _ in answers),
        tuple(sorted({status for _, status in answers})), took_s,
        max(served) if served and len(served) == len(asked) else None,
    )  # fmt: skip


def _settled(root: int) -> tuple[tuple[int, ...], int]:
    """The processes of a side and their memory, once it has stopped growing; after a minute in any case."""
    deadline, last = time.monotonic() + STARTING_S, 0
    while True:
        pids = (root, *common.descendants(root))
        now = _memory(pids, "VmRSS")
        if abs(now - last) < SETTLED_BYTES or time.monotonic() > deadline:
            return pids, now
        last = now
        time.sleep(SETTLED_S)


def _push(port: int, number: int) -> tuple[int, str]:
    """One body: with a length or chunked, in turn. Returns the bytes sent and the status."""
    chunked = bool(number % 2)
    shape = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {BYTES}"
    sent, said = 0, b""
    with (
        UNVERIFIED.wrap_socket(
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S), server_hostname="localhost"
        ) as connection,
        contextlib.suppress(OSError),
    ):
        connection.sendall(f"POST /login HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{shape}\r\n\r\n".encode())
        with contextlib.suppress(OSError):  # refused while it sends
            for piece in _pieces(chunked=chunked):
                connection.sendall(piece)
                sent += PIECE if len(piece) >= PIECE else 0
        said = connection.recv(65536)
    return sent, said.split(b" ", 2)[1].decode() if said.startswith(b"HTTP/1.1 ") else "closed"


def _pieces(*, chunked: bool) -> Iterator[bytes]:
    piece = bytes(PIECE)
    for _ in range(BYTES // PIECE):
        yield b"%x\r\n%s\r\n" % (PIECE, piece) if chunked else piece
    if chunked:
        yield b"0\r\n\r\n"


def _memory(pids: Iterable[int], name: str) -> int:
    """The sum of one figure of /proc/PID/status; processes that have ended count nothing."""
    total = 0
    for each in pids:
        with contextlib.suppress(OSError, LookupError):
            total += common.field(Path(f"/proc/{each}/status"), name) * 1024
    return total


HEAD = (
    "server", "sent", "answered", "memory before", "at most", "after", "took", "slowest answer to the user",
)  # fmt: skip


def row(name: str, found: Found) -> tuple[str, ...]:
    """One row of the table."""

    def mb(count: int) -> str:
        return f"{count / 1e6:,.0f} MB"

    slowest = "not all were served" if found.longest_s is None else f"{found.longest_s:.3f} s"
    return (
        name, mb(found.sent), ", ".join(found.statuses), mb(found.before), mb(found.peak), mb(found.after),
        f"{found.took_s:.1f} s", slowest,
    )  # fmt: skip


NOTE = (
    f"{CONNECTIONS} connections without a login send {BYTES / 1e6:.0f} MB each to /login at once, half of them "
    "chunked. Memory is resident, of all processes; at most: the sum of their high-water marks."
)
