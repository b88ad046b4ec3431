"""Waiting for a fact. The deadline guards against a hang: no test passes or fails by how fast the machine is."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
GUARD_S = 60.0
NOT_YET = (OSError, LookupError, ValueError, http.client.HTTPException)
"""What a question may raise while the file, process or server that it looks at is not there yet."""


def eventually(question: Callable[[], T], why: str = "", within_s: float = GUARD_S, every_s: float = 0.05) -> T:
    """The first true answer. AssertionError, with `why` and the last answer, where there is none within the time."""
    until = time.monotonic() + within_s
    while True:
        answer: object
        try:
            if answer := question():
                return answer
        except NOT_YET as error:
            answer = error
        assert time.monotonic() < until, f"not within {within_s:.0f} s: {why or question}; the last answer: {answer!r}"
        time.sleep(every_s)
