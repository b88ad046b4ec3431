"""What all tests share: whole folders that are slow, because each of their tests starts a real Jupyter or kernel.

And who runs them: several workers (pytest-xdist), each file in one of them; those that share a machine, in one as well.
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
SLOW = ("edge/server", "edge/kernels", "edge/cli")
ORDER = ("system", "browser", "edge", "sim", "unit")
"""What waits most begins first: a worker that waits for a machine leaves the processors to the others."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {item: item.path.relative_to(HERE).as_posix() for item in items}
    items.sort(key=lambda item: ORDER.index(place[item].partition("/")[0]))
    for item in items:
        if place[item].startswith(SLOW):
            item.add_marker(pytest.mark.slow)


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
