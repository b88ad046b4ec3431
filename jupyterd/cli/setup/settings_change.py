"""The settings file as `jupyterd setup` leaves it: read by the account, closed to others, taken back when refused."""

from __future__ import annotations

import os
import stat
import sys
import tomllib
from collections.abc import Mapping

from jupyterd.cli.setup import unit_files as files
from jupyterd.cli.setup.changes import Todo
from jupyterd.cli.setup.target import SetupTarget
from jupyterd.linux.accounts import others_in_group
from jupyterd.settings import table
from jupyterd.settings.table import Value


def put(target: SetupTarget, todo: Todo) -> int:
    """Written, and taken back when the service would refuse them: then its exit code, else 0."""
    before = target.settings.read_text() if target.settings.exists() else None
    if todo.new_text:
        _write(target, todo.text)
    elif not target.user:
        _let_read(target)
    refused = target.verb("config", "check", *([] if target.user else ["--system"]))
    if not refused:
        _overruled(target, todo.answers.values)
        return 0
    if todo.new_text and before is None:
        target.settings.unlink()
    elif todo.new_text and before is not None:
        _write(target, before)
    kept = "the settings are as they were" if todo.new_text else f"mend {target.settings}, then the same again"
    print(f"jupyterd: nothing was started; {kept}", file=sys.stderr)
    return refused


def _overruled(target: SetupTarget, values: Mapping[str, Value]) -> None:
    """A drop-in of the person's own goes before this file: say so."""
    loaded = target.load()
    for name, value in values.items():
        if table.value_of(loaded.settings, table.SETTINGS[name]) != value:
            print(f"jupyterd: {name} is another: {loaded.origins[name]} goes before this file", file=sys.stderr)


def _write(target: SetupTarget, text: str) -> None:
    """A file that is there keeps owner and mode, as far as these keep secrets."""
    path, mine = target.settings, target.account
    uid, gid, mode = (mine.uid, mine.gid, 0o600) if target.user else (0, mine.gid, 0o640)
    try:
        found = path.stat()
    except FileNotFoundError:
        pass
    else:
        uid, gid, mode = found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)
    if not target.user and _holds_secret(text):
        uid, gid, mode = (mine.uid, mine.gid, 0o600) if others_in_group(mine.gid, mine) else (0, mine.gid, 0o640)
    files.put(path, text, mode=mode, uid=uid, gid=gid)


def _holds_secret(text: str) -> bool:
    document = tomllib.loads(text)
    return any(document.get(row.section, {}).get(row.key) for row in table.SETTINGS.values() if row.secret)


def _let_read(target: SetupTarget) -> None:
    """One that is there keeps its text, but the account must be able to read it."""
    found, mine = target.settings.stat(), target.account
    if found.st_uid != mine.uid and found.st_gid != mine.gid and not found.st_mode & 0o004:
        os.chown(target.settings, -1, mine.gid)
        print(f"jupyterd: {target.settings} can now be read by the group of {mine.name}", file=sys.stderr)
