"""The message catalog says what the table of records says, and systemd can read it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jupyterd.core.journal_kinds import KINDS

FILE = Path(__file__).parents[3] / "systemd" / "jupyterd.catalog"
SCRIPT = Path(__file__).parents[3] / "scripts" / "journal_catalog.py"


def test_the_file_is_generated_from_the_table() -> None:
    made = subprocess.run([sys.executable, SCRIPT], capture_output=True, text=True, check=True).stdout
    assert FILE.read_text() == made, "type: python scripts/journal_catalog.py > systemd/jupyterd.catalog"


def test_every_kind_is_itself() -> None:
    assert len({kind.message_id for kind in KINDS}) == len({kind.event for kind in KINDS}) == len(KINDS)
    assert all(re.fullmatch("[0-9a-f]{32}", kind.message_id) for kind in KINDS)


def test_systemd_reads_it_and_gives_the_advice_back(tmp_path: Path) -> None:
    journalctl = shutil.which("journalctl")
    if journalctl is None:
        pytest.skip("no journalctl on this machine")
    for directory in ("usr/lib/systemd/catalog", "var/lib/systemd/catalog"):
        (tmp_path / directory).mkdir(parents=True)
    shutil.copy(FILE, tmp_path / "usr/lib/systemd/catalog")
    made = subprocess.run(
        [journalctl, f"--root={tmp_path}", "--update-catalog"], capture_output=True, text=True, check=False
    )
    assert (made.returncode, made.stderr) == (0, "")
    shown = subprocess.run(
        [journalctl, f"--root={tmp_path}", "--dump-catalog"], capture_output=True, text=True, check=True
    ).stdout
    for kind in KINDS:
        assert f"-- {kind.message_id}\nSubject: {kind.subject}\n" in shown
        assert kind.advice in shown
