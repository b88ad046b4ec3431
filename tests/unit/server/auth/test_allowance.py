"""Whose guesses are looked at, in made-up time."""

from __future__ import annotations

import random

from jupyterd.server.auth.allowance import REMEMBERED_MOST, REMEMBERED_S, WINDOW_S, Allowance, Guess, TooMany


def admit(allowance: Allowance, key: str, now: float) -> Guess | TooMany:
    return allowance.refusal(key, now) or allowance.admit(key, now)


def test_ten_a_minute_and_the_eleventh_waits():
    allowance = Allowance(10, 60)
    for second in range(10):
        assert isinstance(admit(allowance, "a", float(second)), Guess)
    assert admit(allowance, "a", 10.0) == TooMany(50.0, first=True)
    assert admit(allowance, "a", 11.0) == TooMany(49.0, first=False)
    assert isinstance(admit(allowance, "b", 11.0), Guess)
    assert isinstance(admit(allowance, "a", 60.0), Guess)
    assert isinstance(admit(allowance, "a", 60.5), TooMany)


def test_one_that_was_right_does_not_count():
    allowance = Allowance(1, 60)
    for _ in range(100):
        guess = admit(allowance, "a", 0.0)
        assert isinstance(guess, Guess)
        allowance.give_back(guess)
    allowance.give_back(guess)


def test_in_all_there_is_an_end_too():
    allowance = Allowance(10, 60)
    admitted = sum(isinstance(admit(allowance, str(number % 1000), 0.0), Guess) for number in range(5000))
    assert admitted == 60
    assert admit(allowance, "new", 1.0) == TooMany(59.0, first=False)


def test_no_minute_of_random_days_holds_more():
    dice = random.Random(7)
    allowance, now, admitted = Allowance(10, 60), 0.0, []
    for _ in range(3000):
        now += dice.expovariate(2.0)
        key = dice.choice("abcdefghijklmnop")
        if isinstance(admit(allowance, key, now), Guess):
            admitted.append((now, key))
    for at, key in admitted:
        window = [each for each in admitted if at - WINDOW_S < each[0] <= at]
        assert len(window) <= 60
        assert sum(each[1] == key for each in window) <= 10


def ask(allowance: Allowance, key: str, secret: bytes, now: float) -> str:
    """One attempt with a wrong secret, as rate_limit.py makes it."""
    if allowance.refusal(key, now):
        return "refused"
    if allowance.was_wrong(key, secret, now):
        return "known"
    guess = allowance.admit(key, now)
    allowance.found_wrong(guess, secret, now)
    return "checked"


def test_an_old_secret_counts_once_for_days():
    allowance = Allowance(10, 60)
    assert ask(allowance, "a", b"stale", 0.0) == "checked"
    for second in range(10, 3 * 86400, 10):
        assert ask(allowance, "a", b"stale", float(second)) == "known"
    assert allowance.refusal("a", 3 * 86400.0) is None


def test_it_is_forgotten_when_nobody_tries_it():
    allowance = Allowance(10, 60)
    assert ask(allowance, "a", b"stale", 0.0) == "checked"
    assert ask(allowance, "a", b"stale", REMEMBERED_S - 1) == "known"
    assert ask(allowance, "a", b"stale", 2 * REMEMBERED_S) == "checked"


def test_what_others_typed_cannot_be_asked_for():
    allowance = Allowance(3, 60)
    assert ask(allowance, "owner", b"typo", 0.0) == "checked"
    assert ask(allowance, "guesser", b"typo", 0.0) == "checked"  # by key
    # Of the same address (a tunnel): it costs what any guess costs, and a refusal comes before the difference.
    found = [ask(allowance, "owner", each, 1.0) for each in (b"x", b"y", b"typo", b"z", b"typo")]
    assert found == ["checked", "checked", "refused", "refused", "refused"]


def test_it_helps_no_guesser_and_its_memory_has_an_end():
    allowance, checked = Allowance(10, 60), 0
    for number in range(200_000):  # 100 a second, each from an address of its own
        checked += ask(allowance, str(number), b"%d" % number, number / 100) == "checked"
    assert checked <= 60 * (2000 / WINDOW_S + 1)
    big = Allowance(10**6, 10**6)
    for number in range(REMEMBERED_MOST + 10):
        assert ask(big, "a", b"%d" % number, 0.0) == "checked"
    assert ask(big, "a", b"5", 1.0) == "checked"  # the longest unused one went
    assert ask(big, "a", b"%d" % (REMEMBERED_MOST + 9), 1.0) == "known"
