"""The clients while a server is disturbed: some send requests, one only opens connections. Part of bench/away."""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import common

if TYPE_CHECKING:
    from served_by import Running

COUNT = 4
KNOCK_EVERY_S = 0.005
ASK_EVERY_S = 0.05
TIMEOUT_S = 60.0
CAUSES_MOST = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; `problem` is None when it was answered with 200."""

    began: float
    ended: float
    problem: str | None


@dataclass(frozen=True, slots=True)
class Loss:
    """How many requests failed that began after the disturbance, and how many that were in flight then. `gap`: the
    longest time without any answer, seconds.
    """

    begun_after: int
    in_flight: int
    gap: float
    causes: list[str]


class Clients:
    """Threads that send one request after the other, each on a new connection."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._over = threading.Event()
        self._asked: list[Asked] = []
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(COUNT)]
        for each in self._threads:
            each.start()

    def _ask(self) -> None:
        self._running.enter()
        while not self._over.is_set():
            began = time.monotonic()
            problem = ask(self._running)
            self._asked.append(Asked(began, time.monotonic(), problem))
            self._over.wait(ASK_EVERY_S)

    def answers(self) -> list[float]:
        """End the threads; when each good answer came, in order (monotonic)."""
        self._over.set()
        for each in self._threads:
            each.join(TIMEOUT_S)
        return sorted(each.ended for each in self._asked if each.problem is None)

    def stop(self, disturbed: float) -> Loss:
        """End the threads and return what failed; `disturbed` is the time of the disturbance (monotonic)."""
        self._over.set()
        for each in self._threads:
            each.join(TIMEOUT_S)
        failed = [each for each in self._asked if each.problem is not None]
        after = [each for each in failed if each.began >= disturbed]
        flight = [each for each in failed if each.began < disturbed <= each.ended]
        before = len(failed) - len(after) - len(flight)
        if before:
            raise SystemExit(f"{self._running.name}: {before} requests failed before the disturbance")
        good = sorted(each.ended for each in self._asked if each.problem is None)
        gap = max((late - early for early, late in itertools.pairwise(good) if late >= disturbed), default=0.0)
        return Loss(len(after), len(flight), gap, [str(each.problem) for each in (*after, *flight)][:CAUSES_MOST])


def ask(running: Running) -> str | None:
    """Send one GET request; None if the answer is 200, else what went wrong."""
    if running.tls:
        asked: http.client.HTTPConnection = http.client.HTTPSConnection(
            "127.0.0.1", running.port, timeout=TIMEOUT_S, context=common.UNVERIFIED
        )
    else:
        asked = http.client.HTTPConnection("127.0.0.1", running.port, timeout=TIMEOUT_S)
    try:
        asked.request("GET", "/api")
        status = asked.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return repr(error)
    finally:
        asked.close()
    return None if status == HTTPStatus.OK else f"status {status}"


class Knocker:
    """A thread that opens a connection every 5 ms and counts refusals, until `stop`."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._refused = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._knock, daemon=True)
        self._thread.start()

    def _knock(self) -> None:
        self._running.enter()
        due = time.monotonic()
        while not self._over.is_set():
            self._refused += self._running.refuses()
            due += KNOCK_EVERY_S
            time.sleep(max(0.0, due - time.monotonic()))

    def stop(self) -> int:
        """End the thread; how many connections were refused."""
        self._over.set()
        self._thread.join(TIMEOUT_S)
        return self._refused
