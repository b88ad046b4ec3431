"""A public class name means one thing in the whole project."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import jupyterd


def test_no_two_public_classes_share_a_name() -> None:
    root = Path(jupyterd.__file__).parent
    places = defaultdict(list)
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(root)))
    assert len(places) > 100
    assert {name: where for name, where in places.items() if len(where) > 1} == {}
