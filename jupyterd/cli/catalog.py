"""`jupyterd catalog`: systemd/jupyterd.catalog as it must be, from the table of records. For the makers of packages."""

from __future__ import annotations

import argparse

from jupyterd.core.journal_kinds import KINDS, RecordKind

HELP = "Print the journal's message catalog."


def arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def main(args: argparse.Namespace) -> int:  # noqa: ARG001 - a verb's form
    """Print it."""
    print(text(), end="")
    return 0


def text() -> str:
    """The whole file."""
    head = "# Generated from jupyterd/core/journal_kinds.py by `jupyterd catalog`; `journalctl -x` shows it.\n"
    return head + "".join(map(_entry, KINDS))


def _entry(kind: RecordKind) -> str:
    return f"\n-- {kind.message_id}\nSubject: {kind.subject}\nDefined-By: jupyterd\n\n{kind.advice or kind.subject}\n"
