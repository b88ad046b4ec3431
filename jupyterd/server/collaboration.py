"""jupyter-collaboration keeps open documents in the server: which of them are not on disk, and saving them.

The package is no dependency: what is used of it (3.0 to 5.0) is looked for, and done without where it is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tornado.ioloop import PeriodicCallback

EXTENSION = "jupyter_server_ydoc"
_LOOK_EVERY_MS = 1000
_SAVE_S = 1.5
"""Less than a step of leaving may take (leave.py)."""


class Documents:
    """The documents of one application. None are there without the extension."""

    def __init__(self, apps: Mapping[str, Iterable[Any]]) -> None:
        """`apps`: the applications of each extension."""
        self._apps = tuple(apps.get(EXTENSION, ()))

    def advice(self, remedy: Callable[[str], str]) -> list[tuple[str, str, str]]:
        """(code, text, advice) about what a crash costs; nothing without the extension. `remedy`: see Changes."""
        if not self._apps:
            return []
        who, delay = f"the extension {EXTENSION}", getattr(self._apps[0], "document_save_delay", None)
        when = "when somebody saves it" if delay is None else f"{delay:g} s after the last change"
        text = (
            f"{who} keeps open documents in the server: a crash of the server loses what was typed or printed and not "
            f"saved yet (it saves {when})"
        )
        return [("documents-in-server", text, remedy(who))]

    def unsaved(self) -> tuple[str, ...]:
        """Names of the documents that are not on disk as they are in the server."""
        return tuple(sorted(_name(room) for room in self._rooms() if _is_unsaved(room)))

    def watch(self, tell: Callable[[tuple[str, ...]], None]) -> None:
        """Tell what is unsaved now, and whenever that changes."""
        told = self.unsaved()
        tell(told)

        def look() -> None:
            nonlocal told
            now = self.unsaved()
            if now != told:
                told = now
                tell(told)

        if self._apps:
            PeriodicCallback(look, _LOOK_EVERY_MS).start()

    async def save(self) -> None:
        """Write what is not on disk, before the server leaves."""
        begun = []
        for room in self._rooms():
            if _is_unsaved(room):
                saving = room._maybe_save_document(room._saving_document, save_now=True)  # noqa: SLF001 - no other way
                begun.append(asyncio.ensure_future(saving))
        if begun:
            await asyncio.wait(begun, timeout=_SAVE_S)

    def _rooms(self) -> Iterator[Any]:
        for app in self._apps:
            rooms = getattr(getattr(app, "ywebsocket_server", None), "rooms", {})
            yield from (room for room in list(rooms.values()) if hasattr(room, "_document"))


def _is_unsaved(room: Any) -> bool:  # noqa: ANN401 - DocumentRoom
    saving = getattr(room, "_saving_document", None)
    return bool(getattr(room._document, "dirty", False)) or (saving is not None and not saving.done())  # noqa: SLF001


def _name(room: Any) -> str:  # noqa: ANN401 - DocumentRoom
    return str(getattr(room._document, "path", None) or getattr(room, "room_id", "a document"))  # noqa: SLF001
