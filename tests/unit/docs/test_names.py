"""Every verb and every setting that a page names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from jupyterd.cli.main import VERBS
from jupyterd.settings.table import SECTIONS, SETTINGS

ROOT = Path(__file__).parents[3]
PAGES = (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")))
VERB = re.compile(r"(?:`|sudo |^(?:\$ )?)jupyterd ([a-z][a-z-]+)", re.MULTILINE)
CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
SETTING = re.compile(r"`\[([a-z.]+)\] ([a-z_]+)")
SECTION = re.compile(r"`\[([a-z.]+)\]")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_it_names_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    code = CODE.findall(text)
    assert {verb for each in code for verb in VERB.findall(each)} - set(VERBS) == set()
    assert {f"{section}.{key}" for section, key in SETTING.findall(text)} - set(SETTINGS) == set()
    sections = {each.name for each in SECTIONS} | {row.name for row in SETTINGS.values() if row.pairs}
    assert set(SECTION.findall(text)) - sections == set()
