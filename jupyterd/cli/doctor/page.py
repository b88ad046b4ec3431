"""The screen of `jupyterd doctor`: good ones first, so that what is wrong stands last, above the prompt. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

import attrs

from jupyterd.cli.doctor.verdict import Level, Verdict
from jupyterd.text import advised, plural, printable

_ORDER: tuple[Level, ...] = ("good", "unknown", "notice", "wrong")
_INKS = {"good": "32", "unknown": "2", "notice": "33", "wrong": "31;1"}
_WORD, _SUBJECT = 9, 15


@attrs.frozen
class Screen:
    """Columns, and whether in colour."""

    columns: int = 80
    colour: bool = False

    def ink(self, level: Level, text: str) -> str:
        """The text in the level's colour, or as it is."""
        return f"\N{ESCAPE}[{_INKS[level]}m{text}\N{ESCAPE}[0m" if self.colour else text


def page(verdicts: Sequence[Verdict], screen: Screen) -> str:
    """The whole screen, newline at the end."""
    lines = [line for level in _ORDER for each in verdicts if each.level == level for line in _lines(each, screen)]
    return "\n".join([*lines, "", summary(verdicts)]) + "\n"


def summary(verdicts: Sequence[Verdict]) -> str:
    """How many of each level, the worst first."""
    counts = {level: sum(each.level == level for each in verdicts) for level in _ORDER}
    wrong = f"{counts['wrong']} wrong" if counts["wrong"] else "Nothing is wrong"
    more = [plural(counts["notice"], "notice")] if counts["notice"] else []
    more += [f"{counts[level]} {level}" for level in ("unknown", "good") if counts[level]]
    return ", ".join([wrong, *more])


def _lines(each: Verdict, screen: Screen) -> Iterator[str]:
    indent = _WORD + _SUBJECT
    head = f"{each.level:<{_WORD}}{each.subject:<{_SUBJECT}}"
    text = textwrap.wrap(printable(each.text), screen.columns - indent, break_long_words=False, break_on_hyphens=False)
    for number, line in enumerate(text or [""]):
        start = head if not number else " " * indent
        whole = f"{start}{line}"
        yield whole.replace(each.level, screen.ink(each.level, each.level), 1) if not number else whole
    for advice in each.advice:
        line = advised(printable(advice))
        if line.startswith("fix: "):
            yield from textwrap.wrap(
                line, screen.columns, initial_indent=" " * indent, subsequent_indent=" " * (indent + 5),
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
        else:  # not wrapped: a command to copy
            yield f"{'':<{indent}}{line}"
