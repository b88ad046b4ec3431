from __future__ import annotations

import os
import threading

from jupyterd.cli.doctor.verdict import Examination, Verdict, examine, tidied

GOOD, WRONG = Verdict("disk", "good", "free"), Verdict("disk", "wrong", "full", ("df -h",))


def test_one_that_hangs_is_unknown_with_what_it_waits_for_and_the_others_are_told() -> None:
    reader, writer = os.pipe()
    try:
        hangs = Examination("mounts", lambda: [Verdict("mounts", "good", os.read(reader, 1).decode())], 0.2)
        found = examine([hangs, Examination("disk", lambda: [WRONG])])
    finally:
        os.close(writer)
        os.close(reader)
    assert found == (Verdict("mounts", "unknown", "no answer within 0.2 s (it waits in read)"), WRONG)


def test_they_run_at_once() -> None:
    meet = threading.Barrier(2, timeout=60)

    def one() -> list[Verdict]:
        meet.wait()
        return [GOOD]

    assert examine([Examination("a", one, 60), Examination("b", one, 60)]) == (GOOD,)


def test_one_that_fails_is_unknown_and_its_reason_cannot_paint_the_terminal() -> None:
    def fails() -> list[Verdict]:
        raise ValueError("no\x1b[2J such file")

    (found,) = examine([Examination("disk", fails)])
    assert (found.level, found.text) == ("unknown", "could not be examined: no\\x1b[2J such file")


def test_no_subject_is_good_and_not_good() -> None:
    other = Verdict("login", "good", "a password is set")
    assert tidied([GOOD, WRONG, other, WRONG]) == (WRONG, other)
