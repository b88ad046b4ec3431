"""The server's connection to the recorder: starts the recorder when there are kernels, and connects again when it
breaks.

A tab's ZMQ identity is taken and given back here (protocol/recorder_channel.py).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterable
from logging import Logger
from pathlib import Path

from jupyterd.launch import recorder_process, user_manager
from jupyterd.launch.notebooks import of_kernel
from jupyterd.launch.user_unit import LaunchFailed
from jupyterd.linux import kept
from jupyterd.protocol import recorder_channel, spool
from jupyterd.protocol.recorder_channel import (
    Asked,
    Away,
    Back,
    Hello,
    NotKept,
    Over,
    RecorderPaths,
    ReportNotKept,
    Told,
    ToRecorder,
    Yours,
)
from jupyterd.protocol.server_channel import NOT_RECORDED, RECORDER_ENDS
from jupyterd.server.problems import ProblemReporter
from jupyterd.text import printable

_ANSWER_S = 0.5
_TOLD_S = 3.0
_COMING_S = 12.0
"""How long a tab waits for a recorder that is being started: what a cell prints before that is in no spool."""
_FIRST_S, _SOON_S, _MOST_S = 0.02, 0.2, 5.0
"""Pause before the next attempt to connect, doubled each time: up to the second value while a tab may wait, up to the
third later.
"""
_LAUNCH_EVERY_S = 3.0
_MISSED_S = 3.0
"""Without a recorder for so long it is a problem."""
_ASK_EVERY_S = 20.0
_LOSSES, _LOSSES_WITHIN_S = 3, 60.0
"""So many ends of a recorder within so many seconds are one too."""
_ADVICE = "journalctl -t jupyterd-recorder -n 20"
_NAMED_MOST, _WHY_MOST = 3, 300
"""Notebooks, and characters of a reason, in one sentence."""
_HANDED_OVER_S = 0.02
"""The kernel needs a moment to notice that the identity is free; most kernels refuse a second socket with the same one.
"""


class RecorderClient:
    """One connection to the recorder. `kernels` gives the number of kernels: without any it is not made again."""

    def __init__(  # noqa: PLR0913 - the places are three
        self, log: Logger, *, sockets: Path, directory: Path, records: Path, max_bytes: int, as_unit: bool,
        kernels: Callable[[], int], problems: ProblemReporter,
    ) -> None:  # fmt: skip
        self._log, self._kernels = log, kernels
        self._address, self.directory, self._as_unit = sockets / spool.SOCKET, directory, as_unit
        self._records = records
        self._argv = recorder_process.argv(RecorderPaths(sockets, directory, records))
        self._max_bytes = max_bytes
        self.on_question: Callable[[str, tuple[bytes, ...]], object] = lambda _kernel, _frames: None
        """Called with what the kernel asks an absent tab, as recorder_channel.Asked."""
        self._writer: asyncio.StreamWriter | None = None
        self._tabs: set[tuple[str, str]] = set()
        self._releasing: dict[tuple[str, str], asyncio.Future[bool]] = {}
        self._ending: dict[str, asyncio.Future[bytes | None]] = {}
        """None: the recorder has ended meanwhile, and the next one has to be asked."""
        self._there, self._hopeless = asyncio.Event(), False
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._wanted_at = 0.0
        """When a kernel was about to start last, in the event loop's time."""
        self._problems = problems
        self._failed = ""
        """Why the last attempt to start a recorder failed."""
        self._losses: deque[float] = deque(maxlen=_LOSSES)
        """When a connection ended, in the event loop's time."""
        self._answered: float | None = None
        """When this recorder has answered ReportNotKept last, in the event loop's time; None: never yet."""
        self._in_service = False
        """The recorder was started in our own service, for as long as there is no user manager."""

    def start(self) -> None:
        """Keep a connection from now on: there is a kernel, or will be in a moment."""
        self._wanted_at = asyncio.get_running_loop().time()
        if not self._closed and (self._task is None or self._task.done()):
            self._there, self._hopeless = asyncio.Event(), False
            self._task = asyncio.ensure_future(self._keep())

    def go_home(self) -> None:
        """The user manager runs again: a recorder that was started in our service goes, and one comes in its unit."""
        if self._in_service:
            asyncio.get_running_loop().run_in_executor(None, recorder_process.end, self.directory)

    def close(self) -> None:
        """Stop connecting. The connection itself ends with the process: only then are the tabs' identities free."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()

    def hang_up(self) -> None:
        """Close, and end the connection now, in a thread while the event loop may stand still: the recorder takes the
        tabs' identities, as after a crash.
        """
        self._closed = True
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    @property
    def connected(self) -> bool:
        """Whether a recorder is connected."""
        return self._writer is not None

    def connected_tabs(self, kernel: str) -> frozenset[str]:
        """Session ids of the tabs that are connected to this kernel."""
        return frozenset(session for name, session in self._tabs if name == kernel)

    async def take_identity(self, kernel: str, session: str) -> None:
        """Have the recorder release a tab's identity. Without an answer within 0.5 s the tab connects all the same."""
        self._tabs.add((kernel, session))
        if not await self._is_there():
            return
        answer = self._releasing[kernel, session] = asyncio.get_running_loop().create_future()
        self._say(Back(kernel, session))
        with contextlib.suppress(TimeoutError):
            if await asyncio.wait_for(answer, _ANSWER_S):
                await asyncio.sleep(_HANDED_OVER_S)
        self._releasing.pop((kernel, session), None)

    def give_identity(self, kernel: str, session: str) -> None:
        """Have the recorder hold the identity of a tab that is no longer connected."""
        self._tabs.discard((kernel, session))
        self._say(Away(kernel, session))

    def release_identity(self, kernel: str, session: str) -> None:
        """Have the recorder release the identity of a tab that does not come back and needs nothing more."""
        self._say(Back(kernel, session))
        self._say(Away(kernel, session))

    async def end_cells(self, kernel: str, why: str, before: str = "") -> bytes:
        """End cells of this kernel in its spool (recorder_channel.Over). Returns the digest of the last record, b""
        where none was written.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + _COMING_S
        while loop.time() < until and await self._is_there():
            answer = self._ending[kernel] = loop.create_future()
            self._say(Over(kernel, why, before))
            try:
                last: bytes | None = await asyncio.wait_for(answer, _TOLD_S)
                if last is not None:
                    return last
            except TimeoutError:
                break
            finally:
                self._ending.pop(kernel, None)
        return b""

    async def _is_there(self) -> bool:
        if self._writer is None and self._task is not None and not self._task.done() and not self._hopeless:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._there.wait(), _COMING_S)
        return self._writer is not None

    def _say(self, message: ToRecorder) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(recorder_channel.encode(message))

    async def _keep(self) -> None:
        pause, launched = _FIRST_S, -_LAUNCH_EVERY_S
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while not self._closed:
            try:
                reader, self._writer = await asyncio.open_unix_connection(
                    str(self._address), limit=recorder_channel.LINE_MAX
                )
            except OSError:
                if self._kernels() == 0 and loop.time() - begun > _MOST_S:
                    self._problems.clear(NOT_RECORDED)
                    self._problems.replace(NOT_RECORDED, {})
                    return
                if loop.time() - launched >= _LAUNCH_EVERY_S:
                    await self._launch()
                    launched = loop.time()
                if self._kernels() and loop.time() - begun > _MISSED_S:
                    why = self._failed or "the recorder does not answer"
                    self._problems.put(
                        NOT_RECORDED, f"kernel output is not kept for disconnected pages: {why}", _ADVICE
                    )
                await asyncio.sleep(pause)
                pause = min(pause * 2, _SOON_S if loop.time() - begun < _COMING_S else _MOST_S)
                continue
            pause, self._hopeless, self._failed = _FIRST_S, False, ""
            self._problems.clear(NOT_RECORDED)
            self._say(Hello(sys.executable, self._max_bytes, tuple(sorted(self._tabs))))
            self._there.set()
            asking = asyncio.ensure_future(self._ask())
            await self._listen(reader)
            asking.cancel()
            self._writer.close()
            self._writer = None
            self._there.clear()
            for answer in self._ending.values():
                if not answer.done():
                    answer.set_result(None)
            if not self._kernels() and loop.time() - self._wanted_at > _COMING_S:
                self._problems.replace(NOT_RECORDED, {})
                return  # it has ended because there is no kernel; the next one starts another
            begun = loop.time()
            await self._lost(begun)

    async def _ask(self) -> None:
        """What is not kept; and whether the recorder still works, as far as it is one that has ever answered."""
        self._answered = None
        while True:
            asked = asyncio.get_running_loop().time()
            self._say(ReportNotKept())
            await asyncio.sleep(_ASK_EVERY_S)
            if self._answered is not None and self._answered < asked:
                text = "kernel output is not kept for disconnected pages: the recorder has not answered for"
                self._problems.put(NOT_RECORDED, f"{text} {_ASK_EVERY_S:.0f} s", _ADVICE)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError, ValueError):
            while line := await reader.readline():
                match recorder_channel.decode(line):
                    case Yours(kernel=kernel, session=session, stood=stood):
                        answer = self._releasing.get((kernel, session))
                        if answer is not None and not answer.done():
                            answer.set_result(stood)
                    case Told(kernel=kernel, digest=digest):
                        told = self._ending.get(kernel)
                        if told is not None and not told.done():
                            told.set_result(bytes.fromhex(digest))
                    case Asked(kernel=kernel, frames=frames):
                        self.on_question(kernel, tuple(map(base64.b64decode, frames)))
                    case NotKept(kernels=kernels):
                        self._answered = asyncio.get_running_loop().time()
                        self._problems.clear(NOT_RECORDED)
                        found = await asyncio.to_thread(_not_kept, self._records, self.directory, kernels)
                        self._problems.replace(NOT_RECORDED, found)

    async def _launch(self) -> None:
        self._in_service = self._as_unit and not await asyncio.to_thread(user_manager.accepts)
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(
                kept.open_own(self.directory / spool.LOCK)
            )  # a recorder that cannot have it waits, and cannot answer
            # Without a user manager there are dying kernels only, whose cells it ends: our own service will do.
            as_unit = self._as_unit and not self._in_service
            await asyncio.to_thread(recorder_process.launch, self._argv, self.directory, as_unit=as_unit)
        except (OSError, LaunchFailed) as error:
            self._hopeless = True
            self._there.set()
            why = kept.unwritable(error) if isinstance(error, OSError) else str(error)
            if why != self._failed:
                self._failed = why
                self._log.warning("Kernel output is not kept while no server is running: %s", why)

    async def _lost(self, now: float) -> None:
        """The recorder has ended: once for another version, or with the user manager; again and again, it is ill."""
        if self._in_service or (self._as_unit and not await asyncio.to_thread(user_manager.accepts)):
            return
        self._losses.append(now)
        if len(self._losses) == _LOSSES and now - self._losses[0] < _LOSSES_WITHIN_S:
            text = f"the recorder of kernel output has ended {_LOSSES} times within {_LOSSES_WITHIN_S:.0f} s"
            self._problems.put(
                RECORDER_ENDS,
                f"{text}; what is printed while it is not running is lost for disconnected pages",
                _ADVICE,
            )
            asyncio.get_running_loop().call_later(_LOSSES_WITHIN_S, self._look_back)

    def _look_back(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._losses[-1] >= _LOSSES_WITHIN_S:
            self._problems.clear(RECORDER_ENDS)
        else:
            asyncio.get_running_loop().call_later(_LOSSES_WITHIN_S, self._look_back)


def _not_kept(records: Path, directory: Path, kernels: Iterable[tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """For each reason the notebooks that it concerns: reason -> (one sentence, what to type)."""
    notebooks: dict[str, list[str]] = {}
    for kernel, why in kernels:
        name = of_kernel(records, kernel).rpartition("/")[2] or f"kernel {kernel[:8]}"
        notebooks.setdefault(printable(why)[:_WHY_MOST], []).append(printable(name))
    told = {}
    for why, names in notebooks.items():
        more = f" and {len(names) - _NAMED_MOST} more" if len(names) > _NAMED_MOST else ""
        text = f"the output of {', '.join(names[:_NAMED_MOST])}{more} is not kept for disconnected pages: {why}"
        told[why] = text, f"df -h {directory}; {_ADVICE}"
    return told
