"""The message catalog is what the records say."""

from __future__ import annotations

from pathlib import Path

from jupyterd.cli import catalog
from jupyterd.core.records import KINDS


def test_the_file_is_as_generated() -> None:
    file = Path(__file__).parents[3] / "systemd" / "jupyterd.catalog"
    assert file.read_text() == catalog.text(), "write it anew: .venv/bin/jupyterd catalog >systemd/jupyterd.catalog"


def test_every_kind_is_told_apart() -> None:
    assert len({kind.message_id for kind in KINDS}) == len({kind.event for kind in KINDS}) == len(KINDS)
