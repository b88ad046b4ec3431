"""When live output counts as piled up: values in, an answer out."""

from __future__ import annotations

import pytest

from jupyterd.server.channels.backlog import DOUBTFUL, Backlog

SLOW_S = 0.02


@pytest.mark.parametrize(
    ("arrivals", "doubtful"),
    [
        ([], False),
        ([(True, 0.0)] * (DOUBTFUL - 1), False),
        ([(True, 0.0)] * DOUBTFUL, True),
        ([(False, 0.0)] * 5000, False),
        ([(False, SLOW_S)] * 5000, False),
        # libzmq's thread hands over 16 at a time: the last of each has nothing behind it
        (([(True, 0.0)] * 15 + [(False, SLOW_S)]) * 18, True),
        ([(True, 0.0)] * DOUBTFUL + [(False, 0.0)] * 63, True),
        ([(True, 0.0)] * DOUBTFUL + [(False, 0.0)] * 64, False),
        ([(True, 0.0)] * DOUBTFUL + [(False, 0.3)], True),  # it was this process that took so long
        ([(True, 0.0)] * DOUBTFUL + [(False, 0.0), (False, 0.3)], False),
        ([(True, 0.0)] * (DOUBTFUL - 1) + [(False, 0.0)] * 64 + [(True, 0.0)], False),
        ([(True, 0.3)] * (DOUBTFUL * 2), True),
        ([(True, 0.0), (False, 0.0), (False, 0.3)] * (DOUBTFUL * 2), False),
    ],
)
def test_it_is_doubtful_once_many_had_another_behind_them(arrivals, doubtful):
    backlog, now = Backlog(), 100.0
    for more, after_s in arrivals:
        now += after_s
        backlog.note(more=more, now=now)
    assert backlog.doubtful == doubtful
