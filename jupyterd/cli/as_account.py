"""The one place where root acts for an account: a forked child, in a session of its own, becomes it and does the work.

Of root's the child has no terminal (into which one could type: TIOCSTI, ioctl_tty(2)), no environment, no directory and
no open file but pipes. It has root's memory, which the account may not read (PR_SET_DUMPABLE, prctl(2)); a program of
the account's is started by it and never runs inside it.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import select
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, make_dataclass
from typing import Any, TextIO, TypeVar

from jupyterd.linux import accounts, proc
from jupyterd.linux.accounts import Account
from jupyterd.protocol import documents
from jupyterd.text import for_terminal, printable, span

DEADLINE_S = 7200.0
"""For a verb; it has deadlines of its own, which are shorter."""
ANSWER_S = 30.0
ANSWER_BYTES = 1 << 20
TYPED_BYTES = 1 << 15
"""Half of what a pipe holds (pipe(7)), so that it is written at once."""
HANDED_ON = ("LANG", "LC_", "TZ", "TERM", "NO_COLOR", "SUDO_USER", "SSH_CONNECTION", "JUPYTERD_")
FOR_PIP = (
    "PIP_", "UV_", "SSL_CERT_", "REQUESTS_CA_BUNDLE", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY",
    "HTTPS_PROXY",
)  # fmt: skip
_TROUBLE = 1
_END_S = 5.0
_LINE_BYTES = 1 << 16
_DRAIN_PARTS = 16
_ABOVE_STANDARD = 10
_T = TypeVar("_T")


def is_needed(who: Account) -> bool:
    """Whether this process is root's, and the account is another."""
    return os.geteuid() == 0 and who.uid != 0


def environment(who: Account, environ: Mapping[str, str], more: tuple[str, ...] = ()) -> dict[str, str]:
    """What the account's process is given: a PATH and a home, and of root's variables those that begin with a name in
    HANDED_ON or `more`.
    """
    handed = {name: value for name, value in environ.items() if name.startswith((*HANDED_ON, *more))}
    return handed | {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": who.home,
        "USER": who.name,
        "LOGNAME": who.name,
        "XDG_RUNTIME_DIR": f"/run/user/{who.uid}",
    }


def run(
    who: Account,
    work: Callable[[], int],
    environ: Mapping[str, str],
    typed: bytes = b"",
    deadline_s: float = DEADLINE_S,
) -> int:
    """Have the account do `work`, which returns an exit code. `typed` is its standard input. What it prints goes to
    standard output and error; to a terminal without anything that a terminal obeys, except colours. BrokenPipeError
    when nobody reads it any more.
    """
    environ = dict(environ)
    if sys.stdout.isatty():
        environ["COLUMNS"] = str(shutil.get_terminal_size().columns)
    with _pipe() as (output, its_output), _pipe() as (errors, its_errors), _filled(typed) as its_input:
        child = _fork(who, work, environ, (its_input, its_output, its_errors))
        return _relayed(child, {output: _Sink(sys.stdout), errors: _Sink(sys.stderr)}, deadline_s)


def ask(who: Account, question: Callable[[], _T], kind: Any = str, deadline_s: float = ANSWER_S) -> _T:  # noqa: ANN401 - a type
    """What `question` returns when the account asks it: a value of the type `kind` (as documents.structured has them),
    which came as JSON and is checked. OSError where the account gets one, or does not answer; ValueError for any other
    answer.
    """
    if not is_needed(who):
        return question()
    answer = _Answer()
    with _pipe() as (reader, writer), _filled(b"") as nothing, open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        null = nowhere.fileno()
        child = _fork(who, lambda: _answered(question, writer), environment(who, {}), (nothing, null, null, writer))
        code = _relayed(child, {reader: answer}, deadline_s)
    if code:
        raise OSError(f"{who.name} did not answer (exit code {code})")
    found: _T = answer.decoded(kind)
    return found


@dataclass(frozen=True, slots=True)
class _Child:
    """`who` it is; `_relayed` closes `pidfd`."""

    who: Account
    pid: int
    pidfd: int


class _Sink:
    """Takes the bytes of one pipe to one of this process's streams; to a terminal as text, line by line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._is_terminal, self._line = stream, stream.isatty(), b""

    def take(self, data: bytes, *, last: bool = False) -> None:
        """`data` is b"" at the `last` call."""
        if not self._is_terminal:
            self._stream.buffer.write(data)
        else:
            whole = self._line + data
            cut = len(whole) if last or len(whole) > _LINE_BYTES else whole.rfind(b"\n") + 1
            self._line = whole[cut:]
            self._stream.write(for_terminal(whole[:cut].decode("utf-8", "replace")))
        self._stream.flush()


class _Answer:
    """Collects an answer of at most ANSWER_BYTES."""

    def __init__(self) -> None:
        self._data = b""

    def take(self, data: bytes, *, last: bool = False) -> None:  # noqa: ARG002 - as _Sink has it
        """ValueError for too much."""
        self._data += data
        if len(self._data) > ANSWER_BYTES:
            raise ValueError(f"an answer of more than {ANSWER_BYTES} bytes")

    def decoded(self, kind: Any) -> Any:  # noqa: ANN401 - a type, and a value of it
        """OSError that the account got; ValueError for what is no answer."""
        document = documents.document(self._data)
        if isinstance(text := document.get("refused"), str):
            raise OSError(printable(text))
        return documents.structured(document, make_dataclass("Answered", [("value", kind)])).value


def _answered(question: Callable[[], object], writer: int) -> int:
    try:
        document = {"value": question()}
    except (OSError, ValueError) as error:
        document = {"refused": str(error)}
    with os.fdopen(writer, "w", encoding="utf-8", closefd=False) as file:
        json.dump(document, file, default=asdict)
    return 0


def _fork(who: Account, work: Callable[[], int], environ: Mapping[str, str], files: tuple[int, ...]) -> _Child:
    """The child that does `work` as the account. `files` are its standard input, output and error, and what else it
    keeps open.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return _Child(who, pid, os.pidfd_open(pid))
    code = _TROUBLE
    try:  # whatever happens: this process must not return to what the other one was doing
        _leave_everything(who, environ, files)
        code = work()
        sys.stdout.flush()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else _TROUBLE
    except BaseException:  # noqa: BLE001 - see above
        traceback.print_exc()
    finally:
        os._exit(code)


def _leave_everything(who: Account, environ: Mapping[str, str], files: tuple[int, ...]) -> None:
    """Become the account, and keep nothing of root's."""
    os.setsid()
    directory = _directory()
    screens = [stream.isatty() for stream in (sys.stdout, sys.stderr)]
    standard = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ABOVE_STANDARD) for fd in files[:3]]
    for number, fd in enumerate(standard):
        os.dup2(fd, number)
    for fd in [int(name) for name in os.listdir("/proc/self/fd")]:  # noqa: PTH208 - numbers
        if fd not in (0, 1, 2, *files[3:]):
            with contextlib.suppress(OSError):  # the descriptor of the listing
                os.close(fd)
    if is_needed(who):
        accounts.become(who)
    os.environ.clear()
    os.environ.update(environ)
    try:
        os.chdir(directory)  # where the account may go by itself: relative paths in options begin there
    except OSError:
        os.chdir("/")
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - root's may have read ahead
    encoding = sys.stdout.encoding
    sys.stdout, sys.stderr = (
        (_Screen if is_screen else io.TextIOWrapper)(
            open(fd, "wb", buffering=0, closefd=False),  # noqa: SIM115
            encoding="utf-8" if is_screen else encoding, errors="backslashreplace", write_through=True,
        )
        for fd, is_screen in zip((1, 2), screens, strict=True)
    )  # fmt: skip


class _Screen(io.TextIOWrapper):
    """A pipe to somebody who shows it on a terminal."""

    def isatty(self) -> bool:
        """True: with colours, and as wide as $COLUMNS."""
        return True


def _directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - a text
    except OSError:
        return "/"


def _relayed(child: _Child, pipes: Mapping[int, _Sink | _Answer], deadline_s: float) -> int:
    """Pass on what the child says until it ends; its exit code. OSError after the deadline, and if it was killed."""
    try:
        _pass_on(child, pipes, deadline_s)
    except BaseException:  # Ctrl-C and a reader that has gone, too
        _end(child)
        raise
    finally:
        os.close(child.pidfd)
    for sink in pipes.values():
        sink.take(b"", last=True)
    _, status = os.waitpid(child.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        raise OSError(f"the process of {child.who.name} was killed by {signal.Signals(-code).name}")
    return code


def _pass_on(child: _Child, pipes: Mapping[int, _Sink | _Answer], deadline_s: float) -> None:
    """Until it has ended. A process of the account's that it leaves behind may hold the pipes: their ends are not
    waited for.
    """
    poller = select.poll()
    poller.register(child.pidfd, select.POLLIN)
    for fd in pipes:
        os.set_blocking(fd, False)
        poller.register(fd, select.POLLIN)
    until, ended = time.monotonic() + deadline_s, False
    while not ended:
        ready = dict(poller.poll(max(0.0, until - time.monotonic()) * 1000))
        if not ready:
            raise OSError(f"the process of {child.who.name} did not end within {span(deadline_s)}, and was killed")
        ended = child.pidfd in ready
        for fd, sink in pipes.items():
            if fd in ready or ended:
                _drain(fd, sink)


def _drain(fd: int, sink: _Sink | _Answer) -> None:
    with contextlib.suppress(BlockingIOError):
        for _ in range(_DRAIN_PARTS):
            data = os.read(fd, 1 << 16)
            if not data:
                return
            sink.take(data)


def _end(child: _Child) -> None:
    """Interrupt the child, and kill it if it does not end. One that waits in the kernel (state D) is left."""
    for signum in (signal.SIGINT, signal.SIGKILL):
        signal.pidfd_send_signal(child.pidfd, signum)
        if proc.has_exited(child.pidfd, _END_S):
            os.waitpid(child.pid, 0)
            return


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    """(reader, writer)."""
    reader, writer = _new_pipe()
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


@contextlib.contextmanager
def _filled(typed: bytes) -> Iterator[int]:
    """A pipe that holds this and ends after it. ValueError for more than TYPED_BYTES."""
    if len(typed) > TYPED_BYTES:
        raise ValueError(f"more than {TYPED_BYTES} bytes were typed")
    reader, writer = _new_pipe()
    try:
        with os.fdopen(writer, "wb") as file:
            file.write(typed)
        yield reader
    finally:
        os.close(reader)


def _new_pipe() -> tuple[int, int]:
    """Never one of 0, 1 and 2, also where the caller has closed them."""
    ends = os.pipe()
    reader, writer = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ABOVE_STANDARD) for fd in ends)
    for fd in ends:
        os.close(fd)
    return reader, writer
