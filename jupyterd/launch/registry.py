"""The records of kernels on disk, and in another directory those of terminals: `ID.json` (written by the launcher),
`ID.env` (its environment), `ID.pid` (by the wrapper), `ID.end` (detached processes only), `ID.log` (kernel_log.py),
`ID.why` (by whoever ends it on purpose), `ID.login` (the wrapper's, for a moment). All 0600 in a 0700 directory. A
damaged record is set aside and reported.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from jupyterd.launch import traces
from jupyterd.linux import files, kept
from jupyterd.linux.kept import Tell
from jupyterd.linux.proc import Identity
from jupyterd.protocol import documents

FORMAT = 1
ENVIRONMENT_LOG = "kernel-env.log"
"""Output of the attempt to make the default environment, when it failed."""
SERVER_LOCK = "server.lock"
"""Held (flock, shared) while a server runs: another program then leaves changes of its kernels to it."""
PARTS = (".json", ".env", ".pid", ".end", ".why", ".log", ".login")
"""Suffixes of a kernel's files; the record itself comes first."""

_ON_PURPOSE = "ended on purpose"


@dataclass(frozen=True, slots=True)
class Setup:
    """How the wrapper completes the environment (shell_environment.py). Each part may be empty."""

    shell: str = ""
    """The login shell whose start-up files are read."""
    interactive: bool = False
    """Whether it also reads what it reads in a terminal, such as ~/.bashrc."""
    variables: dict[str, str] = field(default_factory=dict)
    """[kernels.env]; ${NAME} is replaced."""
    overlay: dict[str, str] = field(default_factory=dict)
    """The kernelspec's variables."""
    prefix: str = ""
    """Directory of the Python environment."""


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
    setup: Setup = Setup()
    tty: str = ""
    """Path of the terminal device that becomes the controlling terminal, whose other end the server holds; "": none."""


def write(directory: Path, record: Entry, env: Mapping[str, str]) -> None:
    """Write record and environment, before the launch: a server that is killed meanwhile leaves no unknown kernel."""
    files.private_directory(directory)
    for part in (".pid", ".end", ".why"):
        kept.remove(directory / f"{record.id}{part}")
    files.replace(directory / f"{record.id}.env", json.dumps(dict(env)).encode())
    files.replace(directory / f"{record.id}.json", json.dumps(_document(record), indent=1).encode())


def _document(record: Entry) -> dict[str, object]:
    document = {"format": FORMAT, **asdict(replace(record, process=None))}
    if record.kind == "kernel":  # so that a version that knows no terminals still takes it back
        del document["kind"], document["tty"]
    if record.setup == Setup():
        del document["setup"]
    return document


def read(directory: Path, kernel_id: str) -> Entry:
    """The record of this kernel. ValueError: the file is no record; FileNotFoundError: there is none; OSError: it
    cannot be read at present.
    """
    path = directory / f"{kernel_id}.json"
    document = documents.document(kept.read(path))
    if document.get("format") != FORMAT:
        raise ValueError("not a record of this version")
    if document.get("id") != kernel_id:
        raise ValueError("it is another kernel's")
    record = documents.structured(document, Entry)
    if any(_unusable(word) for word in (*record.argv, record.cwd, record.connection_file, record.tty)):
        raise ValueError("it holds text that no name of a file or program can be")
    try:
        return replace(record, process=read_process(directory, kernel_id))
    except ValueError:  # what is lost is the process's number, not the record
        return record


def read_process(directory: Path, kernel_id: str) -> Identity | None:
    """The identity that the wrapper wrote; None while it has not. ValueError for another content."""
    try:
        return _identity(kept.read(directory / f"{kernel_id}.pid"))
    except FileNotFoundError:
        return None


def read_env(directory: Path, kernel_id: str) -> dict[str, str]:
    """The environment that the kernel's wrapper began with. ValueError and FileNotFoundError as `read`."""
    return {name: str(value) for name, value in documents.document(kept.read(directory / f"{kernel_id}.env")).items()}


def write_why(directory: Path, kernel_id: str, why: str) -> None:
    """Say, before it is ended on purpose, why. A full disk has room for an empty file, and that will do."""
    path = directory / f"{kernel_id}.why"
    try:
        files.replace(path, why.encode())
    except OSError:
        with contextlib.suppress(OSError):
            os.close(kept.open_own(path))


def read_why(directory: Path, kernel_id: str) -> str:
    """The phrase of whoever ended it on purpose; "" for nobody."""
    try:
        return kept.read(directory / f"{kernel_id}.why").decode(errors="replace") or _ON_PURPOSE
    except (OSError, ValueError):
        return ""


def read_all(directory: Path) -> tuple[list[Entry], list[str]]:
    """(every readable record, oldest first; one sentence for each record that was set aside or cannot be read)."""
    found: list[Entry] = []
    problems: list[str] = []
    for path in sorted(directory.glob("*.json")) if directory.is_dir() else ():
        try:
            record = _read_or_trace(directory, path, problems.append)
        except FileNotFoundError:
            continue  # ended between the listing and the reading
        except OSError as error:
            problems.append(f"the record {path} cannot be read at present: {error.strerror}")
        else:
            found += [] if record is None else [record]
    return sorted(found, key=lambda each: each.created), problems


def _read_or_trace(directory: Path, path: Path, tell: Tell) -> Entry | None:
    """The record. A damaged one is set aside; that of a kernel that runs is made again from what its process says.
    None: it is lost. FileNotFoundError, OSError.
    """
    try:
        record = read(directory, path.stem)
        damaged = record.process is None and kept.load(path.with_suffix(".pid"), _identity, tell) is None
        if not damaged or (trace := traces.find(path.stem)) is None:
            return record
    except ValueError as error:
        kept.set_aside(path, error, tell)
        if (trace := traces.find(path.stem)) is None:
            return None
        record = Entry(
            path.stem, trace.name, trace.argv, trace.cwd, trace.connection_file, "signal", trace.unit, time.time()
        )
        files.replace(path, json.dumps(_document(record), indent=1).encode())
        tell(f"the record of kernel {path.stem} was made again from its process {trace.process.pid}")
    files.replace(path.with_suffix(".pid"), json.dumps(asdict(trace.process)).encode())
    return replace(record, process=trace.process)


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
        kept.remove(directory / f"{kernel_id}{part}")


def hold_as_server(directory: Path, tell: Tell = kept.say) -> int | None:
    """A descriptor that, while open, marks these kernels as a server's; None while another program changes them.
    OSError. `tell`: kept.open_own.
    """
    try:
        return kept.open_locked(directory / SERVER_LOCK, tell, shared=True)
    except BlockingIOError:
        return None


@contextlib.contextmanager
def without_server(directory: Path, tell: Tell = kept.say) -> Iterator[bool]:
    """Yields True when no server runs, and keeps one from starting within the block; False when one runs."""
    try:
        descriptor = kept.open_locked(directory / SERVER_LOCK, tell)
    except BlockingIOError:
        yield False
        return
    try:
        yield True
    finally:
        os.close(descriptor)


def server_runs(directory: Path) -> bool:
    """Whether a server owns these kernels now."""
    with without_server(directory) as alone:
        return not alone


def _identity(data: bytes) -> Identity:
    return documents.structured(documents.document(data), Identity)


def _unusable(word: str) -> bool:
    try:
        return b"\0" in os.fsencode(word)
    except UnicodeEncodeError:
        return True
