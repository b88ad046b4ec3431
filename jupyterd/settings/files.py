"""Reads settings files without trust: whatever is no regular file is reported, and never blocks the reader."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

import attrs

from jupyterd.linux.accounts import Account, others_in_group
from jupyterd.settings.problems import Origin, Problem

LARGEST_BYTES = 1 << 20


@attrs.frozen
class Text:
    """A file's contents, and its status at the moment it was read."""

    text: str
    facts: os.stat_result


def read(path: Path, mine: Account, *, must_exist: bool) -> Text | Problem | None:  # noqa: PLR0911 - one for each way to be no file
    """The file's text; None if it does not exist and need not; a Problem if it cannot be read."""
    origin = Origin(str(path))
    try:
        mode = path.stat().st_mode  # opening a device may do something: look first
        if not stat.S_ISREG(mode):
            return Problem(origin, f"is {kind(mode)}", "a regular file is wanted")
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError:
        if not must_exist and not path.is_symlink():
            return None
        dangling = f"is a link to {path.readlink()}, which does not exist" if path.is_symlink() else "does not exist"
        return Problem(origin, dangling, advice="type the path of a settings file, or make one: jupyterd config sample")
    except PermissionError:
        return Problem(
            origin,
            f"cannot be read by {mine.name}",
            advice=f"see which part of the path refuses it: namei -l {shlex.quote(str(path))}",
        )
    except (OSError, ValueError) as error:  # ENXIO of a socket, ELOOP, a name with a NUL
        return Problem(origin, f"cannot be opened ({reason(error)})", "a regular file is wanted")
    with os.fdopen(fd, "rb") as file:
        facts = os.fstat(fd)
        if not stat.S_ISREG(facts.st_mode):  # exchanged since; O_NONBLOCK kept the open from waiting
            return Problem(origin, f"is {kind(facts.st_mode)}", "a regular file is wanted")
        try:
            data = file.read(LARGEST_BYTES + 1)
        except OSError as error:
            return Problem(origin, f"cannot be read ({reason(error)})")
    return _decoded(origin, data, facts)


def _decoded(origin: Origin, data: bytes, facts: os.stat_result) -> Text | Problem:
    if len(data) > LARGEST_BYTES:
        return Problem(origin, f"is larger than {LARGEST_BYTES >> 20} MiB", "no settings file is")
    try:
        return Text(data.decode("utf-8-sig"), facts)  # Windows editors put a mark first
    except UnicodeDecodeError as error:
        # utf-8-sig counts from behind the mark
        mark = 3 if data.startswith(b"\xef\xbb\xbf") else 0
        at = error.start + mark
        line = data.count(b"\n", 0, at) + 1
        sixteen = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        encoding = "UTF-16" if sixteen else "LATIN1"
        advice = f"save it as UTF-8, or type: iconv -f {encoding} -t UTF-8 {shlex.quote(origin.place)} > new.toml"
        return Problem(attrs.evolve(origin, line=line), f"is not UTF-8 (byte 0x{data[at]:02x})", advice=advice)


def listed(directory: Path, mine: Account) -> tuple[Path, ...] | Problem:
    """The *.toml of a drop-in directory in the order of their names, without hidden ones; none if there is none."""
    origin = Origin(str(directory))
    try:
        names = sorted(each.name for each in directory.iterdir())
    except FileNotFoundError:
        return ()
    except NotADirectoryError:
        return Problem(origin, "is a file", "a directory of *.toml files is wanted") if directory.exists() else ()
    except PermissionError:
        return Problem(origin, f"cannot be read by {mine.name}", advice=f"type: ls -ld {shlex.quote(str(directory))}")
    except (OSError, ValueError) as error:
        return Problem(origin, f"cannot be read ({reason(error)})")
    return tuple(directory / name for name in names if name.endswith(".toml") and not name.startswith("."))


def exposure(path: Path, facts: os.stat_result, mine: Account) -> tuple[str, str] | None:
    """(who else can read the file, what to type), or None when only the account and root can."""
    mode = stat.S_IMODE(facts.st_mode)
    if facts.st_uid not in (mine.uid, 0):
        who = f"uid {facts.st_uid}, to whom it belongs,"
    elif mode & 0o004:
        who = f"everybody on this machine (mode {mode:04o})"
    elif mode & 0o040 and (others := others_in_group(facts.st_gid, mine)):
        shown = ", ".join(others[:3]) + (" ..." if len(others) > 3 else "")  # noqa: PLR2004 - enough to see whose it is
        who = f"its group (mode {mode:04o}: {shown})"
    else:
        return None
    return who, closing(path, facts, mine)


def closing(path: Path, facts: os.stat_result, mine: Account) -> str:
    """The line to type so that only the account can read and change the file."""
    name = shlex.quote(str(path))
    if facts.st_uid == mine.uid:
        return f"type: chmod 600 {name}"
    # chmod 600 alone would shut the account out of a file that is root's.
    return f"type: sudo chown {mine.name} {name} && sudo chmod 600 {name}"


def kind(mode: int) -> str:
    """The kind of a file that is not regular, for a message."""
    names = {
        stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
        stat.S_IFSOCK: "a socket",
    }  # fmt: skip
    return names.get(stat.S_IFMT(mode), "no regular file")


def reason(error: OSError | ValueError) -> str:
    """The system's own words, small: "too many levels of symbolic links"."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return words[:1].lower() + words[1:]
