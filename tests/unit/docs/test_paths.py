"""Every path of the repository that a page names exists, and so does every page that it links to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")))
NAMED = re.compile(r"(?<![\w/.~-])(?:jupyterd|tests|scripts|bench|docs|etc|systemd)/[\w./*{},-]*[\w/*}]")
LINKED = re.compile(r"\]\((?!https?:)([^)#]+)")
ELSEWHERE = re.compile(r"jupyterd/(?:jupyterd$|jupyterd\.toml|ca\.crt|tls)")
"""A repository address, files of an installation and a URL: they begin like a package."""


def braces(path: str) -> list[str]:
    """`a/{b,c}.py` as the two paths that it stands for."""
    if found := re.search(r"\{([^}]*)\}", path):
        return [one for each in found[1].split(",") for one in braces(path.replace(found[0], each.strip(), 1))]
    return [path]


def named(text: str) -> set[str]:
    return {one for each in NAMED.findall(text) if not ELSEWHERE.match(each) for one in braces(each)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_it_names_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    assert {path for path in named(text) if not [*ROOT.glob(path.rstrip("/"))]} == set()
    assert {path for path in LINKED.findall(text) if not (page.parent / path).exists()} == set()


def test_the_paths_are_recognised() -> None:
    text = "see `jupyterd/core/`, (tests/sim/worlds.py) and bench/{idle,start}; not /etc/jupyterd/jupyterd.toml"
    assert named(text) == {"jupyterd/core/", "tests/sim/worlds.py", "bench/idle", "bench/start"}
    assert any(named(page.read_text("utf-8")) for page in PAGES)


def test_each_promise_about_security_names_its_test() -> None:
    text = (ROOT / "docs/security.md").read_text("utf-8")
    rows = [row for row in re.findall(r"^\| (.*) \|$", text, re.MULTILINE) if not row.startswith(("from |", "what |"))]
    assert len(rows) > 15
    for row in rows:
        tests = re.findall(r"`(tests/[\w/]+\.py)`", row.rpartition(" | ")[2])
        assert tests, row
