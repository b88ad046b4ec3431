"""Whose guesses are looked at, in made-up time."""

from __future__ import annotations

import random

from jupyterd.server.auth.allowance import WINDOW_S, Allowance, Guess, Refusal


def test_ten_a_minute_and_the_eleventh_waits():
    allowance = Allowance(10, 60)
    for second in range(10):
        assert isinstance(allowance.admit("a", float(second)), Guess)
    assert allowance.admit("a", 10.0) == Refusal(50.0, first=True)
    assert allowance.admit("a", 11.0) == Refusal(49.0, first=False)
    assert isinstance(allowance.admit("b", 11.0), Guess)
    assert isinstance(allowance.admit("a", 60.0), Guess)
    assert isinstance(allowance.admit("a", 60.5), Refusal)


def test_one_that_was_right_does_not_count():
    allowance = Allowance(1, 60)
    for _ in range(100):
        guess = allowance.admit("a", 0.0)
        assert isinstance(guess, Guess)
        allowance.give_back(guess)
    allowance.give_back(guess)


def test_in_all_there_is_an_end_too():
    allowance = Allowance(10, 60)
    admitted = sum(isinstance(allowance.admit(str(number % 1000), 0.0), Guess) for number in range(5000))
    assert admitted == 60
    assert allowance.admit("new", 1.0) == Refusal(59.0, first=False)


def test_no_minute_of_random_days_holds_more():
    dice = random.Random(7)
    allowance, now, admitted = Allowance(10, 60), 0.0, []
    for _ in range(3000):
        now += dice.expovariate(2.0)
        key = dice.choice("abcdefghijklmnop")
        if isinstance(allowance.admit(key, now), Guess):
            admitted.append((now, key))
    for at, key in admitted:
        window = [each for each in admitted if at - WINDOW_S < each[0] <= at]
        assert len(window) <= 60
        assert sum(each[1] == key for each in window) <= 10
