"""Requests whose output no page has saved yet: SPOOL/KERNEL_ID/unsaved, a JSON object on each line. The server writes
them when a cell is run, a page that is opened later asks for them, and the recorder keeps the spool from the oldest on.
Beside it, in SPOOL/KERNEL_ID/question: the last question of input() that a page has shown.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from jupyterd.linux import files, kept
from jupyterd.protocol import documents
from jupyterd.protocol.value import value

NAME, QUESTION = "unsaved", "question"
_LARGEST_BYTES, _REWRITE_BYTES, _KEPT_BYTES = 1 << 26, 1 << 22, 1 << 21
"""Of the file: what is read of it, when it is written again without what is settled, and what is then kept of it."""


@value
class CellRequest:
    """An execute_request of a cell."""

    msg_id: str
    session: str
    """Of the tab that sent it."""
    cell: str
    """The cell's id in the notebook."""
    code: str
    date: str
    """When the server got it, as spool.date."""


@value
class Question:
    """An input_request, its parts as the kernel wrote them (JSON). `answered`: a page has sent an input_reply."""

    header: str
    parent: str
    content: str
    answered: bool = False


def request(msg_id: str, session: str, cell: str, code: str, now: float) -> CellRequest:
    """A request that came at `now` (Unix seconds)."""
    date = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return CellRequest(msg_id, session, cell, code, date)


def read(directory: Path) -> list[CellRequest]:
    """In the order in which they were sent, the last of each cell. None where there is no file, or it is damaged."""
    try:
        lines = kept.read(directory / NAME, _LARGEST_BYTES).splitlines()
    except (OSError, ValueError):
        return []
    found: dict[str, CellRequest] = {}
    for line in lines:
        with contextlib.suppress(ValueError):  # torn by a crash
            each = documents.structured(documents.document(line), CellRequest)
            found.pop(each.cell, None)
            found[each.cell] = each
    return list(found.values())


def add(directory: Path, new: CellRequest) -> None:
    """Write one more, in one step; it supersedes an earlier request of the same cell. OSError."""
    path = directory / NAME
    kept.clear(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, 0o600)
    try:
        os.write(fd, b"\n" + _line(new))  # a line that was torn ends here
        long = os.fstat(fd).st_size > _REWRITE_BYTES
    finally:
        os.close(fd)
    if long:
        _rewrite(directory, read(directory))


def settle(directory: Path, msg_ids: Collection[str]) -> None:
    """The outputs of these requests are saved, or nobody wants them. OSError."""
    every = read(directory)
    left = [each for each in every if each.msg_id not in msg_ids]
    if len(left) < len(every):
        _rewrite(directory, left)


def oldest(directory: Path) -> bytes | None:
    """The date of the oldest, None if there is none."""
    return min((each.date.encode() for each in read(directory)), default=None)


def question(directory: Path) -> Question | None:
    """The last question that a page has shown; None where there was none, or the file is damaged."""
    try:
        return documents.structured(documents.document(kept.read(directory / QUESTION)), Question)
    except (OSError, ValueError):
        return None


def put_question(directory: Path, shown: Question) -> None:
    """A page shows it, or has answered it. OSError."""
    kept.clear(directory / QUESTION)
    files.replace(directory / QUESTION, json.dumps(asdict(shown)).encode())


def _rewrite(directory: Path, requests: list[CellRequest]) -> None:
    lines: list[bytes] = []
    room = _KEPT_BYTES
    for each in reversed(requests):
        line = _line(each)
        room -= len(line)
        if room < 0:
            break
        lines.append(line)
    files.replace(directory / NAME, b"".join(reversed(lines)))


def _line(each: CellRequest) -> bytes:
    return json.dumps(asdict(each)).encode() + b"\n"
