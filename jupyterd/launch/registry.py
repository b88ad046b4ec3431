"""The records of kernels on disk, and in another directory those of terminals: `ID.json` (written by the launcher),
`ID.env` (its environment), `ID.pid` (by the wrapper), `ID.end` and `ID.log` (detached processes only), `ID.why` (by
whoever ends it on purpose). All 0600 in a 0700 directory. An unreadable record is set aside and reported.
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
"""Output of the attempt to make the default environment, when it failed."""
SERVER_LOCK = "server.lock"
"""Held (flock, shared) while a server runs: another program then leaves changes of its kernels to it."""
PARTS = (".json", ".env", ".pid", ".end", ".why", ".log")
"""Suffixes of a kernel's files; the record itself comes first."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The record of a kernel or terminal. `process` is None until the wrapper has written its identity."""

    id: str
    name: str
    """Name of the kernelspec."""
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
    """Soft RLIMIT_NOFILE of a detached process; 0: the server's."""
    process: Identity | None = None
    kind: Literal["kernel", "terminal"] = "kernel"
    tty: str = ""
    """Path of the terminal device that becomes the controlling terminal, whose other end the server holds; "": none."""


def write(directory: Path, record: Entry, env: Mapping[str, str]) -> None:
    """Write record and environment, before the launch: a server that is killed meanwhile leaves no unknown kernel."""
    files.private_directory(directory)
    for part in (".pid", ".end", ".why"):
        (directory / f"{record.id}{part}").unlink(missing_ok=True)
    files.replace(directory / f"{record.id}.env", json.dumps(dict(env)).encode())
    document = {"format": FORMAT, **asdict(replace(record, process=None))}
    if record.kind == "kernel":  # so that a version that knows no terminals still takes it back
        del document["kind"], document["tty"]
    files.replace(directory / f"{record.id}.json", json.dumps(document, indent=1).encode())


def read(directory: Path, kernel_id: str) -> Entry:
    """The record of this kernel. ValueError: the file is no record; FileNotFoundError: there is none."""
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
    """The identity that the wrapper wrote; None while it has not. ValueError for another content."""
    try:
        return Identity(**_load(directory / f"{kernel_id}.pid"))
    except FileNotFoundError:
        return None
    except TypeError as error:
        raise ValueError(f"not a process: {error}") from error


def read_env(directory: Path, kernel_id: str) -> dict[str, str]:
    """The environment that the kernel was started with. ValueError and FileNotFoundError as `read`."""
    return {str(name): str(value) for name, value in _load(directory / f"{kernel_id}.env").items()}


def read_all(directory: Path) -> tuple[list[Entry], list[str]]:
    """(every readable record, oldest first; one sentence for each record that was set aside)."""
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
    """Remove files without a record: a process may write one at the very moment at which it is forgotten."""
    for part in PARTS[1:]:
        for path in directory.glob(f"*{part}"):
            if path.with_suffix(".json").exists() or path.name == ENVIRONMENT_LOG:
                continue
            path.unlink(missing_ok=True)


def remove(directory: Path, kernel_id: str) -> None:
    """Delete every file of the kernel."""
    for part in PARTS:
        (directory / f"{kernel_id}{part}").unlink(missing_ok=True)


def hold_as_server(directory: Path) -> int | None:
    """A descriptor that, while open, marks these kernels as a server's; None while another program changes them."""
    descriptor = os.open(directory / SERVER_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@contextlib.contextmanager
def without_server(directory: Path) -> Iterator[bool]:
    """Yields True when no server runs, and keeps one from starting within the block; False when one runs."""
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
    """Whether a server owns these kernels now."""
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
