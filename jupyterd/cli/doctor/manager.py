"""The account's user manager, in which kernels live: whether it runs, and whether it stays after a logout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from jupyterd.cli.doctor.facts import Subject
from jupyterd.cli.doctor.verdict import Verdict
from jupyterd.launch import user_manager

SUBJECT = "user manager"


def examine(what: Subject) -> Iterator[Verdict]:
    """As this account's own process sees it. In the foreground kernels do not need it."""
    if not Path("/run/systemd/system").is_dir():
        text = "systemd does not run here: kernels are processes of their own and end with this container"
        yield Verdict(SUBJECT, "notice", text)
        return
    name, needed = user_manager.account_name(), what.paths.mode != "foreground"
    if not needed:
        yield Verdict(SUBJECT, "good", "not needed by a server in a terminal")
    elif user_manager.trouble() is not None:
        text = f"the user manager of {name} does not run, and kernels live in it"
        yield Verdict(SUBJECT, "wrong", text, (user_manager.advice(),))
    elif not (user_manager.LINGER / name).exists():
        text = f"runs, but ends with the last login of {name}, and every kernel with it (lingering is off)"
        yield Verdict(SUBJECT, "wrong", text, (f"sudo loginctl enable-linger {name}",))
    else:
        yield Verdict(SUBJECT, "good", "runs, and stays after a logout (lingering is on)")
