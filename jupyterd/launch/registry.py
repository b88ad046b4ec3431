"""What is known of each kernel (and, elsewhere, of each terminal), on disk: `ID.json` (launcher), `ID.env` (its
environment), `ID.pid` (wrapper), `ID.end` and `ID.log` (detached processes only). All 0600 in a 0700 directory. A bad
file is set aside, never fatal.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from jupyterd.linux import files
from jupyterd.linux.proc import Identity

FORMAT = 1
ENVIRONMENT_LOG = "kernel-env.log"
"""What making the default environment said, when it failed."""
SERVER_LOCK = "server.lock"
"""Held (flock, shared) while a server runs: who wants to change its kernels then leaves the deed to it."""
PARTS = (".json", ".env", ".pid", ".end", ".why", ".log")
"""Every file that may exist of one kernel; the record itself comes first."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One kernel or terminal. `process` is None from the order until the wrapper has written who it is."""

    id: str
    name: str
    """The kernelspec's."""
    argv: tuple[str, ...]
    cwd: str
    connection_file: str
    interrupt_mode: str
    """"signal" or "message", as in the kernelspec."""
    unit: str | None
    """Name of its unit in the account's user manager; None for a detached process."""
    created: float
    """Unix seconds."""
    limits: tuple[tuple[str, str], ...] = ()
    """systemd properties: ("MemoryMax", "32G")."""
    open_files: int = 0
    """Soft limit of a detached process, which begins with the server's otherwise; 0: that one."""
    process: Identity | None = None
    kind: Literal["kernel", "terminal"] = "kernel"
    tty: str = ""
    """A terminal device that becomes the process's own: a shell whose other end this server holds."""


def write(directory: Path, record: Entry, env: Mapping[str, str]) -> None:
    """Before the launch, so that a server killed in the middle of it leaves no kernel that nobody knows."""
    files.private_directory(directory)
    for part in (".pid", ".end", ".why"):
        (directory / f"{record.id}{part}").unlink(missing_ok=True)
    files.replace(directory / f"{record.id}.env", json.dumps(dict(env)).encode())
    document = {"format": FORMAT, **asdict(replace(record, process=None))}
    if record.kind == "kernel":  # so that a version that knows no terminals still takes it back
        del document["kind"], document["tty"]
    files.replace(directory / f"{record.id}.json", json.dumps(document, indent=1).encode())


def read(directory: Path, kernel_id: str) -> Entry:
    """One record; ValueError when it is none, FileNotFoundError when there is none."""
    document = _load(directory / f"{kernel_id}.json")
    try:
        if document.pop("format") != FORMAT:
            raise ValueError("another format")
        if document["id"] != kernel_id:
            raise ValueError("another kernel's")
        document["argv"] = tuple(document["argv"])
        document["limits"] = tuple((str(name), str(value)) for name, value in document["limits"])
        document["process"] = read_process(directory, kernel_id)
        return Entry(**document)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a kernel record: {type(error).__name__}: {error}") from error


def read_process(directory: Path, kernel_id: str) -> Identity | None:
    """What the wrapper wrote, or None while it has not."""
    try:
        return Identity(**_load(directory / f"{kernel_id}.pid"))
    except FileNotFoundError:
        return None
    except TypeError as error:
        raise ValueError(f"not a process: {error}") from error


def read_env(directory: Path, kernel_id: str) -> dict[str, str]:
    """The environment that the kernel was started with; ValueError, FileNotFoundError as `read`."""
    return {str(name): str(value) for name, value in _load(directory / f"{kernel_id}.env").items()}


def read_all(directory: Path) -> tuple[list[Entry], list[str]]:
    """Every readable record, oldest first, and one sentence for each that was set aside."""
    found: list[Entry] = []
    problems: list[str] = []
    for path in sorted(directory.glob("*.json")) if directory.is_dir() else ():
        try:
            found.append(read(directory, path.stem))
        except FileNotFoundError:
            continue  # ended between the listing and the reading
        except (OSError, ValueError) as error:
            aside = path.with_suffix(".unreadable")
            path.replace(aside)
            problems.append(f"the kernel record {path.name} is not usable ({error}); it lies in {aside} now")
    return sorted(found, key=lambda each: each.created), problems


def sweep(directory: Path) -> None:
    """Parts whose kernel is on record no more: what a process wrote at the very moment in which it was forgotten."""
    for part in PARTS[1:]:
        for path in directory.glob(f"*{part}"):
            if path.with_suffix(".json").exists() or path.name == ENVIRONMENT_LOG:
                continue
            path.unlink(missing_ok=True)


def remove(directory: Path, kernel_id: str) -> None:
    """Forget a kernel: every file of it."""
    for part in PARTS:
        (directory / f"{kernel_id}{part}").unlink(missing_ok=True)


def hold_as_server(directory: Path) -> int | None:
    """A descriptor to keep open as long as a server owns these kernels; None while another program changes them."""
    descriptor = os.open(directory / SERVER_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@contextlib.contextmanager
def without_server(directory: Path) -> Iterator[bool]:
    """True when no server runs here, and none begins to within the block; False when one runs."""
    descriptor = os.open(directory / SERVER_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def server_runs(directory: Path) -> bool:
    """Whether a server owns these kernels at this moment."""
    with without_server(directory) as alone:
        return not alone


def _load(path: Path) -> dict[str, Any]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        facts = os.fstat(descriptor)
        if facts.st_uid != os.getuid():
            raise PermissionError(f"it belongs to uid {facts.st_uid}")
        if not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1:
            raise ValueError("not a regular file with one name")
        with os.fdopen(descriptor, encoding="utf-8", closefd=False) as file:
            document = json.load(file)
    finally:
        os.close(descriptor)
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - the caller knows one kind of bad file
    return document
