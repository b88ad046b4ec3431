"""What is wrong as far as this server sees it, for the supervisor: everything at once, at each change."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from jupyterd.protocol import server_channel


class ProblemReporter:
    """Holds them by code and by what they are about. Nobody hears of them before `report_to`."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], tuple[str, str]] = {}
        self._say: Callable[[server_channel.Problems], None] | None = None

    def put(self, code: str, text: str, advice: str, *, about: str = "") -> None:
        """Something is wrong: one sentence, and what to type. It replaces what has the same code and `about`."""
        if self._found.get((code, about)) != (text, advice):
            self._found[code, about] = (text, advice)
            self._report()

    def clear(self, code: str, *, about: str = "") -> None:
        """It is over."""
        if self._found.pop((code, about), None) is not None:
            self._report()

    def replace(self, code: str, told: Mapping[str, tuple[str, str]]) -> None:
        """All that has this code and is about something: `told` by what it is about, (one sentence, what to type)."""
        others = {key: each for key, each in self._found.items() if key[0] != code or not key[1]}
        found = others | {(code, about): each for about, each in told.items()}
        if found != self._found:
            self._found = found
            self._report()

    def report_to(self, say: Callable[[server_channel.Problems], None] | None) -> None:
        """Say what there is now, and then each change; None: to nobody any more."""
        self._say = say
        self._report()

    def _report(self) -> None:
        if self._say is not None:
            self._say(server_channel.Problems(tuple((*key, *told) for key, told in self._found.items())))
