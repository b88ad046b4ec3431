"""How many failed login attempts are allowed within a minute: for each key (an address or a browser), and in all.

Pure: knows no requests and no clock. An attempt counts from its admission, or many at once would slip through; one that
succeeded is given back. A secret that was wrong is not checked again for the same key, and counts once: a program that
goes on with an old token is no guesser, and locks nobody out.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict, deque
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
REMEMBERED_S = 3600.0
"""A wrong secret is forgotten when it was not tried for so long."""
REMEMBERED_MOST = 4096
"""Wrong secrets; the one that was not tried for longest goes. Strangers add 60 a minute at most."""


@dataclass(frozen=True, slots=True)
class Guess:
    """An attempt that was admitted for `key` at `at` (monotonic s)."""

    key: str
    at: float


@dataclass(frozen=True, slots=True)
class TooMany:
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
    _wrong: OrderedDict[tuple[str, bytes], float] = attrs.field(factory=OrderedDict, init=False)
    """Key and name of a wrong secret, and when it was tried last; the latest is the last. By key, or one could ask
    which wrong secrets others have typed.
    """

    def refusal(self, key: str, now: float) -> TooMany | None:
        """The refusal of an attempt of `key` at `now` (monotonic s); None: it may be looked at. It comes first, also
        for a secret that is known to be wrong: the difference would tell a guesser about it, as often as they like.
        """
        self._forget(now)
        own = [each.at for each in self._guesses if each.key == key]
        if len(own) >= self.per_key:
            return self._refusal(key, own[-self.per_key] + WINDOW_S - now, now)
        if len(self._guesses) >= self.in_all:
            return self._refusal("", self._guesses[0].at + WINDOW_S - now, now)
        return None

    def was_wrong(self, key: str, secret: bytes, now: float) -> bool:
        """Whether this secret was found wrong for this key: no need to check it, or to count it, again."""
        if (key, secret) not in self._wrong:
            return False
        self._wrong[key, secret] = now
        self._wrong.move_to_end((key, secret))
        return True

    def admit(self, key: str, now: float) -> Guess:
        """Count an attempt of `key`, where there is no `refusal`."""
        guess = Guess(key, now)
        self._guesses.append(guess)
        return guess

    def give_back(self, guess: Guess) -> None:
        """The attempt succeeded, or was not checked after all: it does not count."""
        with contextlib.suppress(ValueError):  # it is older than the window
            self._guesses.remove(guess)

    def found_wrong(self, guess: Guess, secret: bytes, now: float) -> None:
        """The attempt has failed; `secret` is the name of what was tried."""
        self._wrong[guess.key, secret] = now
        if len(self._wrong) > REMEMBERED_MOST:
            self._wrong.popitem(last=False)

    def _refusal(self, key: str, wait_s: float, now: float) -> TooMany:
        first = key not in self._logged
        if first:
            self._logged[key] = now
        return TooMany(max(wait_s, 0.0), first)

    def _forget(self, now: float) -> None:
        while self._guesses and self._guesses[0].at <= now - WINDOW_S:
            self._guesses.popleft()
        while self._wrong and next(iter(self._wrong.values())) <= now - REMEMBERED_S:
            self._wrong.popitem(last=False)
        # A refusal is logged only for keys that have attempts, so these are few too.
        self._logged = {key: at for key, at in self._logged.items() if at > now - WINDOW_S}
