"""systemd: its version and what that lacks, and whether limits of memory can work."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from jupyterd.cli.doctor import programs
from jupyterd.cli.doctor.programs import NoAnswer
from jupyterd.cli.doctor.verdict import Verdict

SUBJECT = "systemd"
LEAST = 252
_VERSION = re.compile(r"^systemd (\d+)", re.MULTILINE)
_LACKS = ((254, "listening sockets do not outlive a stop with a start after it"),)
"""Before which version -> what jupyterd cannot do there (FileDescriptorStorePreserve=)."""


def examine(uid: int, root: Path = Path("/")) -> Iterator[Verdict]:
    """`root` is another one in tests."""
    if not (root / "run/systemd/system").is_dir():
        text = "does not run here (is it a container?): use ./run or jupyterd run, and start it again yourself"
        yield Verdict(SUBJECT, "notice", text)
        return
    try:
        yield from version(programs.said("systemctl", "--version"))
    except NoAnswer as error:
        yield Verdict(SUBJECT, "unknown", str(error))
    yield from controllers(root / "sys/fs/cgroup", uid)


def version(said: str) -> Iterator[Verdict]:
    """From `systemctl --version`."""
    found = _VERSION.search(said)
    if found is None:
        yield Verdict(SUBJECT, "unknown", f"its version cannot be read: {said.partition(chr(10))[0]!r}")
        return
    number = int(found[1])
    if number < LEAST:
        text = f"version {number} is too old for the service, which needs {LEAST}"
        yield Verdict(SUBJECT, "wrong", text, ("upgrade the distribution (Debian 12 has 252), or use ./run",))
        return
    lacks = [what for before, what in _LACKS if number < before]
    yield Verdict(SUBJECT, "good", f"version {number}{': ' if lacks else ''}{'; '.join(lacks)}")


def controllers(cgroup: Path, uid: int) -> Iterator[Verdict]:
    """Whether the account's kernels can be limited and accounted (cgroups(7))."""
    if not (cgroup / "cgroup.controllers").exists():
        text = "control groups are version 1 here, so limits of memory for kernels have no effect"
        yield Verdict(
            SUBJECT, "notice", text, ("take systemd.unified_cgroup_hierarchy=0 off the kernel's command line",)
        )
        return
    mine = cgroup / f"user.slice/user-{uid}.slice/user@{uid}.service/cgroup.controllers"
    try:
        missing = {"memory", "pids"} - set(mine.read_text().split())
    except OSError:
        return  # no user manager: told elsewhere
    if missing:
        text = f"the user manager of the account has no control over: {', '.join(sorted(missing))}"
        delegate = "write Delegate=memory pids below [Service]: sudo systemctl edit user@.service"
        yield Verdict(SUBJECT, "notice", text, (delegate,))
