"""How many failed login attempts are allowed within a minute: for each key (an address or a browser), and in all.

Pure: knows no requests and no clock. An attempt counts from its admission, or many at once would slip through; one that
succeeded is given back.
"""

from __future__ import annotations

import contextlib
from collections import deque
from dataclasses import dataclass

import attrs

WINDOW_S = 60.0
PER_ADDRESS = 10
STRANGERS_IN_ALL = 60
"""Failed attempts a minute, in all: their hashes take at most a tenth of one processor."""
KNOWN_IN_ALL = 600
"""The same for browsers that logged in before; each has its own allowance, and needs our cookie for it."""
IPV6_PREFIX = 64
"""Failed attempts a minute of one IPv6 /64: an attacker there has every address of it."""


@dataclass(frozen=True, slots=True)
class Guess:
    """An attempt that was admitted for `key` at `at` (monotonic s)."""

    key: str
    at: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """The attempt is not checked. `first`: no refusal of this key was logged within the window."""

    wait_s: float
    first: bool


@attrs.define
class Allowance:
    """`per_key` and `in_all` guesses within WINDOW_S, both at once. Holds no more than `in_all` of them."""

    per_key: int
    in_all: int
    _guesses: deque[Guess] = attrs.field(factory=deque, init=False)
    _logged: dict[str, float] = attrs.field(factory=dict, init=False)

    def admit(self, key: str, now: float) -> Guess | Refusal:
        """Count an attempt of `key` at `now` (monotonic s), or refuse it."""
        self._forget(now)
        own = [each.at for each in self._guesses if each.key == key]
        if len(own) >= self.per_key:
            return self._refusal(key, own[-self.per_key] + WINDOW_S - now, now)
        if len(self._guesses) >= self.in_all:
            return self._refusal("", self._guesses[0].at + WINDOW_S - now, now)
        guess = Guess(key, now)
        self._guesses.append(guess)
        return guess

    def give_back(self, guess: Guess) -> None:
        """The attempt succeeded, or was not checked after all: it does not count."""
        with contextlib.suppress(ValueError):  # it is older than the window
            self._guesses.remove(guess)

    def _refusal(self, key: str, wait_s: float, now: float) -> Refusal:
        first = key not in self._logged
        if first:
            self._logged[key] = now
        return Refusal(max(wait_s, 0.0), first)

    def _forget(self, now: float) -> None:
        while self._guesses and self._guesses[0].at <= now - WINDOW_S:
            self._guesses.popleft()
        # A refusal is logged only for keys that have attempts, so these are few too.
        self._logged = {key: at for key, at in self._logged.items() if at > now - WINDOW_S}
