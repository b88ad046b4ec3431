"""docs/dependencies.md and what is really depended on are the same."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
ROW = re.compile(r"^\| (?!package|---)(\S+) \| (\S.*\S) \| (\S.*\S) \|$", re.MULTILINE)


def told(section: str) -> set[str]:
    text = (ROOT / "docs/dependencies.md").read_text("utf-8")
    (part,) = [part for part in text.split("\n## ") if part.startswith(section)]
    return {row[1] for row in ROW.finditer(part)}


def declared(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9_.-]", each, maxsplit=1)[0] for each in requirements}


def project() -> dict[str, list[str]]:
    found = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return {"run": found["dependencies"], **found["optional-dependencies"]}


def test_every_dependency_has_its_line_and_every_line_its_dependency() -> None:
    assert told("To run") == declared(project()["run"])
    assert told("To check") == declared(project()["check"])
    assert told("To look for blind spots") == declared(project()["mutation"]) - {"jupyterd"}


def test_there_is_no_other_group() -> None:
    assert set(project()) == {"run", "check", "mutation"}


def test_system_packages() -> None:
    listed = subprocess.run(
        [ROOT / "scripts/system-packages", "all"], capture_output=True, text=True, check=True, timeout=10
    )
    assert told("Debian packages") == set(listed.stdout.split())
