"""What all tests share: whole folders that are slow, because each of their tests starts a real Jupyter or kernel.

And who runs them: several workers (pytest-xdist), each file in one of them; those that share a machine, in one as well.
"""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
SLOW = ("edge/inside", "edge/kernels", "edge/cli")
ORDER = ("system", "browser", "edge", "sim", "unit")
"""What waits most begins first: a worker that waits for a machine leaves the processors to the others."""


def _place(item: pytest.Item) -> str:
    return item.path.relative_to(HERE).as_posix()


def _group(place: str) -> str:
    """The tests of one group run one after another, in one process, with one machine."""
    if place.startswith("system"):
        return "debian 13" if place.endswith("test_trixie.py") else "system"
    return place


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: ORDER.index(_place(item).partition("/")[0]) if "/" in _place(item) else len(ORDER))
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(_place(item))))
        if _place(item).startswith(SLOW):
            item.add_marker(pytest.mark.slow)
