"""Commands in messages, as the person at this terminal can type them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from jupyterd.cli import typed

OWN = str(Path(sys.prefix, "bin", "jupyterd"))
ON_PATH = {"PATH": str(Path(sys.prefix, "bin"))}
ELSEWHERE = {"PATH": "/nowhere"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see: jupyterd status", f"see: {OWN} status"),
        ("type: sudo jupyterd cert acme, then jupyterd token", f"type: sudo {OWN} cert acme, then {OWN} token"),
        ("journalctl -u jupyterd -e", "journalctl -u jupyterd -e"),
        ("another jupyterd already runs in /x", "another jupyterd already runs in /x"),
        ("/opt/bin/jupyterd status", "/opt/bin/jupyterd status"),
        ("sudo systemctl stop jupyterd", "sudo systemctl stop jupyterd"),
    ],
)
def test_a_verb_is_shown_with_the_path_where_the_name_alone_is_not_found(text: str, shown: str) -> None:
    assert typed.commands(text, ELSEWHERE) == shown
    assert typed.commands(text, ON_PATH) == text
