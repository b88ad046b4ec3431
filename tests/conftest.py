"""What all tests share: the marks, by folder, and how the tests are spread over several workers (pytest-xdist).

Each file runs in one worker; tests that share a machine run in one worker as well.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

HERE = Path(__file__).parent
MARKS = {
    "system": (pytest.mark.system,),
    "browser": (pytest.mark.browser, pytest.mark.slow),
    "edge/cli": (pytest.mark.slow,),
    "edge/foreground": (pytest.mark.slow,),
    "edge/kernels": (pytest.mark.slow,),
    "edge/server": (pytest.mark.slow,),
    "edge/terminals": (pytest.mark.slow,),
}
"""What all tests of a folder are: slow ones start a real Jupyter or kernel each."""
ORDER = ("system", "browser", "edge", "sim", "unit")
"""What waits most begins first: a worker that waits for a machine leaves the processors to the others."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {item: item.path.relative_to(HERE).as_posix() for item in items}
    items.sort(key=lambda item: ORDER.index(place[item].partition("/")[0]))
    for item in items:
        for folder, marks in MARKS.items():
            if place[item].startswith(f"{folder}/"):
                for mark in marks:
                    item.add_marker(mark)


class Groups(LoadScopeScheduling):
    """The tests of one group run one after another, in one process, with one machine."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if not file.startswith("tests/system/"):
            return file
        return "debian 13" if file.endswith("test_trixie.py") else "system"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Groups:
    """pytest-xdist's hook."""
    return Groups(config, log)


@pytest.fixture
def public_path() -> Iterator[Path]:
    """As tmp_path, and every account may enter it."""
    with tempfile.TemporaryDirectory(prefix=f"jupyterd-test-{os.getpid()}-") as made:
        Path(made).chmod(0o755)
        yield Path(made)
