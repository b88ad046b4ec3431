"""What is left out of the supervisor for its memory's sake is missed by nobody."""

from __future__ import annotations

import subprocess
import sys

SAME = """
import dataclasses
if {lean}:
    from jupyterd.supervisor import lean
    lean.keep_inspect_out()
    lean.share_methods()
from dataclasses import FrozenInstanceError, replace
from jupyterd.core.effects import Probe
from jupyterd.core.events import ProcessInspected
from jupyterd.protocol.plan import Listen, Target
seen = ProcessInspected(7, "T", 0.5, 1.5, None)
print(seen, hash(seen) == hash((7, "T", 0.5, 1.5, None)), seen == replace(seen), seen == replace(seen, pid=8))
print({{Listen("::", 1): 2}}[Listen("::", 1)], Listen("::", 1) == ("::", 1))
for change in (lambda: setattr(seen, "pid", 8), lambda: setattr(seen, "other", 8), lambda: delattr(seen, "pid")):
    try:
        change()
    except FrozenInstanceError:
        print("refused")
    except TypeError:  # what Python 3.11 itself says of a name that is no field
        print("refused")
print(Probe(Target("a", "::1", 1, 0, needed=True), "/", None, 1.0))
"""


def said(*, lean: bool) -> str:
    argv = [sys.executable, "-I", "-c", SAME.format(lean=lean)]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def test_shared_methods_do_what_the_classes_own_do() -> None:
    assert said(lean=True) == said(lean=False)
    assert said(lean=True).count("refused") == 3
