"""Every kind of damage that a small file of ours may get, as functions of its path and of the bytes that were in it."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Damage = tuple[str, Callable[[Path], None]]
"""A name for messages, and what does it to the file."""
HUGE = 1 << 40
WEIRD = (
    "null", "[]", "{}", "true", "-1", "1" * 400, "1" * 5000, "1e999", "NaN", "-Infinity", '""', '"x"', '"\\u0000"',
    '"\\ud800"', "[" * 50 + "]" * 50, '{"a":' * 50 + "1" + "}" * 50, "18446744073709551616",
)  # fmt: skip
"""JSON values (or nearly) that may stand where another was."""
CONTENTS = {
    "nothing": b"", "zeros": bytes(4096), "no UTF-8": b'{"format": 1, "\xff\xfe": 1}', "UTF-16": "{}".encode("utf-16"),
    "nested lists": b"[" * 100_000, "nested objects": b'{"a":' * 100_000, "a bare number": b"1" * 5000,
    "infinity": b'{"format": 1e999}', "another format": b'{"format": 2}', "two documents": b"{}{}",
    "random": bytes(range(256)) * 8, "text": b"the quick brown fox\n" * 100,
}  # fmt: skip


def contents(good: bytes, head: int = 1 << 20, page: int = 64) -> Iterator[tuple[str, bytes]]:
    """What may be in the file in the place of `good`; each bit of the first `head` bytes is flipped once, it is cut
    there at each byte, and each `page` of all is zeroed.
    """
    yield from CONTENTS.items()
    for bit in range(8 * min(len(good), head)):
        flipped = bytearray(good)
        flipped[bit // 8] ^= 1 << bit % 8
        yield f"bit {bit} flipped", bytes(flipped)
    for size in range(min(len(good), head)):
        yield f"cut at {size}", good[:size]
    for at in range(0, len(good), page):
        yield f"zeroed from {at}", good[:at] + bytes(len(good) - at)
        yield f"a zeroed page at {at}", good[:at] + bytes(page) + good[at + page :]
    yield "twice", good + good
    yield "a tail", good + b"\0" * 100


def values(good: bytes) -> Iterator[tuple[str, bytes]]:
    """The JSON object in `good` with each of its values in turn replaced by another, and left out."""
    document: dict[str, Any] = json.loads(good)
    for name in document:
        rest = {key: each for key, each in document.items() if key != name}
        yield f"without {name}", json.dumps(rest).encode()
        for value in WEIRD:
            yield f"{name}: {value[:20]}", json.dumps({**rest, name: "@"}).replace('"@"', value).encode()
    yield "another field", json.dumps({**document, "new": 1}).encode()


def written(found: Iterator[tuple[str, bytes]]) -> Iterator[Damage]:
    """Each of these contents as a damage."""

    def write(data: bytes) -> Callable[[Path], None]:
        def written(path: Path) -> None:
            path.write_bytes(data)
            path.chmod(0o600)

        return written

    for name, data in found:
        yield name, write(data)


def others() -> Iterator[Damage]:
    """Something else in the place of the file."""

    def directory(path: Path) -> None:
        path.mkdir()
        (path / "somebody's").touch()

    def bound(path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(f"/proc/self/fd/{_directory(path)}/{path.name}")

    def _directory(path: Path) -> int:
        return os.open(path.parent, os.O_PATH)

    def sparse(path: Path) -> None:
        path.touch(0o600)
        os.truncate(path, HUGE)

    def another_accounts(path: Path) -> None:
        path.touch(0o600)
        os.chown(path, 60002, -1)

    yield "a directory", directory
    yield "a link to a file", lambda path: path.symlink_to("/etc/passwd")
    yield "a link to a directory", lambda path: path.symlink_to("/usr")
    yield "a link to nothing", lambda path: path.symlink_to("/nowhere")
    yield "a link to itself", lambda path: path.symlink_to(path)
    yield "a FIFO", lambda path: os.mkfifo(path, 0o600)
    yield "a socket", bound
    yield "a huge file", sparse
    if os.getuid() == 0:  # nobody else can give a file away
        yield "another account's", another_accounts
    yield "removed", lambda _: None


def remove(path: Path) -> None:
    """Whatever is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
