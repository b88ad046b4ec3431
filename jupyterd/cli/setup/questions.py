"""The questions of `jupyterd setup`, at a terminal: each with its default, each again until the answer can be used.

Decides nothing and writes nothing.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable

from jupyterd.settings import login_store


def line(question: str, default: str = "") -> str:
    """What was typed, or the default for nothing. EOFError when nobody is there any more."""
    shown = f" [{default}]" if default else ""
    print(f"{question}{shown}: ", end="", file=sys.stderr, flush=True)
    typed = sys.stdin.readline()
    if not typed:
        raise EOFError
    return typed.strip() or default


def judged(question: str, default: str, fault: Callable[[str], str]) -> str:
    """Again until `fault` finds none."""
    while True:
        typed = line(question, default)
        wrong = fault(typed)
        if not wrong:
            return typed
        print(f"  {wrong}", file=sys.stderr)


def yes(question: str) -> bool:
    """Enter means yes."""
    return line(f"{question} [Y/n]").lower() in {"", "y", "yes"}


def password(*, is_set: bool) -> str:
    """A good one, typed twice without being shown; "" for none."""
    nothing = "nothing: it stays" if is_set else "nothing: you choose it in the browser, by a link that works once"
    while True:
        first = getpass.getpass(f"Password of the login page ({nothing}): ", stream=sys.stderr)
        if not first:
            return ""
        fault = login_store.password_fault(first)
        if not fault and getpass.getpass("The same again: ", stream=sys.stderr) == first:
            return first
        print(f"  {fault or 'The two differ.'}", file=sys.stderr)
