"""The diagram in docs/architecture.md is the one that the code draws."""

from __future__ import annotations

from pathlib import Path

import pytest
from sim.diagram import mermaid

ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"


@pytest.mark.slow
def test_the_diagram_in_the_docs_is_what_the_server_does() -> None:
    assert mermaid() in ARCHITECTURE.read_text(), "paste the output of: cd tests && python -m sim.diagram"
