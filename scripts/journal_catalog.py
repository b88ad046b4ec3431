"""Prints systemd/jupyterd.catalog, which `journalctl -x` shows, from the table of records in core/journal_kinds.py.

python scripts/journal_catalog.py > systemd/jupyterd.catalog
"""

from __future__ import annotations

from jupyterd.core.journal_kinds import KINDS, RecordKind


def text() -> str:
    """The text of the catalogue."""
    head = "# Generated from jupyterd/core/journal_kinds.py by scripts/journal_catalog.py; `journalctl -x` shows it.\n"
    return head + "".join(map(_entry, KINDS))


def _entry(kind: RecordKind) -> str:
    return f"\n-- {kind.message_id}\nSubject: {kind.subject}\nDefined-By: jupyterd\n\n{kind.advice or kind.subject}\n"


if __name__ == "__main__":
    print(text(), end="")
