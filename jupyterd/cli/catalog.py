"""`jupyterd catalog`: writes systemd/jupyterd.catalog, what `journalctl -x` adds to our records (hidden verb).

One entry for each kind of record in core/records.py, in the format of systemd's message catalogs.
"""

from __future__ import annotations

import argparse

from jupyterd.core.records import KINDS, Kind

HELP = "print the message catalog: jupyterd catalog >systemd/jupyterd.catalog"


def arguments(parser: argparse.ArgumentParser) -> None:
    """None."""
    del parser


def main(args: argparse.Namespace) -> int:
    """Print it."""
    del args
    print(text(), end="")
    return 0


def text() -> str:
    """The whole file."""
    head = "# Written by `jupyterd catalog` from jupyterd/core/records.py.\n"
    return head + "".join(_entry(kind) for kind in KINDS)


def _entry(kind: Kind) -> str:
    lines = [f"-- {kind.message_id}", f"Subject: {kind.subject}", "Defined-By: jupyterd", ""]
    return "\n" + "\n".join([*lines, *kind.advice.splitlines()]).rstrip() + "\n"
