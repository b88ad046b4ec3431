"""The steps of ./run and ./install as a person at a terminal sees them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.terminal import at_a_terminal

ROOT = Path(__file__).parents[3]
SCRIPT = """
set -euo pipefail
here=$1
mkdir -p "$here/.jupyterd"
. "$2/scripts/environment.sh"
step "the first" sleep 1.2
step "the second" sh -c 'echo a word of it; exit 3' || echo "code $?"
echo after
"""


@pytest.mark.slow
@pytest.mark.parametrize("size", ["stty rows 24 cols 60", "stty rows 0 cols 0"])
def test_at_a_terminal_it_shows_the_seconds_and_goes_on(tmp_path: Path, size: str) -> None:
    shown = at_a_terminal("bash", "-c", f"{size}; {SCRIPT}", "bash", str(tmp_path), str(ROOT))
    assert re.search(r"the first: \d+ s  == sleep", shown) and "the first: done in" in shown, shown
    assert "the second: failed" in shown and "a word of it" in shown and "code 3" in shown
    assert shown.rstrip().endswith("after")
