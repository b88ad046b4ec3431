"""A verdict, and how all examinations run: at once, each with a deadline of its own. One that hangs, or that fails in a
way that nobody foresaw, becomes the verdict "unknown"; the others go on.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from jupyterd.linux import waits
from jupyterd.text import printable

Level = Literal["good", "notice", "wrong", "unknown"]
"""How a subject is: as it should be; worth knowing; something to change; nobody can tell, for the reason given."""
DEADLINE_S = 6.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """`text` is one sentence without its end, and holds no secret. `advice`: what to do, a command or one sentence for
    each line; () where there is nothing to do.
    """

    subject: str
    level: Level
    text: str
    advice: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Examination:
    """Looks at one subject. `examine` may block."""

    subject: str
    examine: Callable[[], Iterable[Verdict]]
    deadline_s: float = DEADLINE_S


@dataclass(slots=True)
class _UnderWay:
    what: Examination
    verdicts: list[Verdict] = field(default_factory=list)
    thread: threading.Thread | None = None

    def run(self) -> None:
        try:
            self.verdicts = list(self.what.examine())
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            reason = printable(str(error)) or type(error).__name__
            self.verdicts = [Verdict(self.what.subject, "unknown", f"could not be examined: {reason}")]

    def ended(self, begun: float) -> list[Verdict]:
        """Waits for the rest of its time."""
        assert self.thread is not None  # noqa: S101 - for mypy
        self.thread.join(max(0.0, begun + self.what.deadline_s - time.monotonic()))
        if not self.thread.is_alive():
            return self.verdicts
        waits_for = waits.of(os.getpid(), self.thread.native_id).what
        why = f" (it waits in {waits_for})" if waits_for else ""
        return [Verdict(self.what.subject, "unknown", f"no answer within {self.what.deadline_s:g} s{why}")]


def examine(everything: Sequence[Examination]) -> tuple[Verdict, ...]:
    """Every verdict, in the order of the examinations."""
    under_way = [_UnderWay(each) for each in everything]
    begun = time.monotonic()
    for each in under_way:
        each.thread = threading.Thread(target=each.run, daemon=True)  # one that hangs must not keep us from ending
        each.thread.start()
    return tidied(verdict for each in under_way for verdict in each.ended(begun))


def tidied(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Without repetitions, and without "good" where there is another verdict on the same subject."""
    found = tuple(dict.fromkeys(verdicts))
    troubled = {each.subject for each in found if each.level != "good"}
    return tuple(each for each in found if each.level != "good" or each.subject not in troubled)
