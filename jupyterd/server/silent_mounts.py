"""Mounts that do not answer: whatever lies below one is refused with 503 and its name, and nobody looks at it.

Whoever looks at a file of a network disk that has gone waits for ever, whatever the signal. In the event loop that is
the end of this server; in a thread it is one thread less, and after some 40 of them no file can be read or saved,
wherever it is. So a mount counts as silent while the supervisor says so (an earlier server hangs there, core/busy.py),
or while a look of this server's own, in a thread, has not come back for LOOK_S. A listing of the directory that holds
the mount leaves it out.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from anyio.to_thread import run_sync
from jupyter_server.services.contents import filemanager
from tornado.web import HTTPError

from jupyterd.linux import mounts
from jupyterd.server.problems import ProblemReporter

LOOK_S = 5.0
SILENT = "disk-silent"
"""Code of the problem."""
_stat, _lstat = os.stat, os.lstat


@dataclass(slots=True)
class _Look:
    """A look in a thread: whether it has come back, and the mount that it has made silent."""

    back: bool = False
    mount: str = ""


class MountGuard:
    """Those of this process. At most one object: it stands in for os.stat and os.lstat while there is any."""

    def __init__(self, problems: ProblemReporter) -> None:
        self._problems = problems
        self._told: frozenset[str] = frozenset()
        self._own: Counter[str] = Counter()
        """Mount -> how many looks have not come back."""
        self._refusing_stat, self._refusing_lstat = self._refusing(_stat), self._refusing(_lstat)
        for able in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):  # what shutil asks
            able.update(
                {self._refusing_stat} if _stat in able else (), {self._refusing_lstat} if _lstat in able else ()
            )

    def guard(self, contents: Any) -> None:  # noqa: ANN401 - a contents manager of any class
        """Have this contents manager refuse what lies below a silent mount, and give up a look that takes long."""
        path_of: Callable[[str], str] | None = getattr(contents, "_get_os_path", None)
        if path_of is None:  # it keeps no files
            return

        def os_path(path: str) -> str:
            found = path_of(path)
            if (mount := self.of(found)) is not None:
                raise HTTPError(HTTPStatus.SERVICE_UNAVAILABLE, f"{mount} does not answer: is that disk there?")
            return found

        contents._get_os_path = os_path  # noqa: SLF001 - what all its methods use
        filemanager.run_sync = self._run  # type: ignore[attr-defined,assignment]  # with which it looks in a thread

    def hear(self, told: Iterable[str]) -> None:
        """The supervisor's, all of them."""
        self._told = frozenset(told)
        self._stand_in()

    def of(self, path: str) -> str | None:
        """The silent mount at or below which this path lies."""
        points = self._told | self._own.keys()
        return mounts.below(path, points) if points else None

    def _stand_in(self) -> None:
        silent = bool(self._told or self._own)
        os.stat, os.lstat = (self._refusing_stat, self._refusing_lstat) if silent else (_stat, _lstat)

    def _refusing(self, look: Callable[..., os.stat_result]) -> Any:  # noqa: ANN401 - of typeshed's overloads
        def refusing(path: Any, *, dir_fd: int | None = None, **options: Any) -> os.stat_result:  # noqa: ANN401 - theirs
            if dir_fd is None and not isinstance(path, int) and self.of(os.fsdecode(path)) is not None:
                raise OSError(errno.EACCES, "its disk does not answer", path)  # the errno that a listing leaves out
            return look(path, dir_fd=dir_fd, **options)

        return refusing

    async def _run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:  # noqa: ANN401 - anyio's
        """As anyio.to_thread.run_sync, and with a deadline for a look, which loses nothing."""
        if function not in (os.lstat, os.listdir) or not args:
            return await run_sync(function, *args, **options)
        loop, state = asyncio.get_running_loop(), _Look()

        def look() -> Any:  # noqa: ANN401 - what the function returns
            try:
                return function(*args)
            finally:
                loop.call_soon_threadsafe(self._back, state)

        try:
            async with asyncio.timeout(LOOK_S):
                return await run_sync(look, abandon_on_cancel=True)
        except TimeoutError:
            self._late(state, os.fsdecode(args[0]))
            raise OSError(errno.EACCES, "its disk does not answer", args[0]) from None

    def _late(self, state: _Look, path: str) -> None:
        found = mounts.holding(mounts.own(), os.path.abspath(path))  # noqa: PTH100 - resolve() would look at it
        mount = "" if found is None else found.point
        if state.back or mount in ("", "/"):
            return
        state.mount = mount
        self._own[mount] += 1
        self._problems.put(
            SILENT,
            f"{mount} does not answer; requests for files below it are refused until it does",
            "is that disk, or the file server behind it, there?",
            about=mount,
        )
        self._stand_in()

    def _back(self, state: _Look) -> None:
        """A look has come back, after whatever time."""
        state.back = True
        if not state.mount:
            return
        self._own[state.mount] -= 1
        if self._own[state.mount] <= 0:
            del self._own[state.mount]
            self._problems.clear(SILENT, about=state.mount)
        self._stand_in()
