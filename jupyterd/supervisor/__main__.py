"""The supervisor as a program: `python -I -m jupyterd.supervisor --plan-fd N ...`, or leaner, as cli/run.py starts it:
`python -I -S .../supervisor/__main__.py --path DIRECTORIES --plan-fd N ...`.
"""

from __future__ import annotations

import sys

if sys.argv[1:2] == ["--path"]:  # without the module site, which costs 0.4 MB, sys.path lacks the packages
    sys.path[:0] = sys.argv[2].split(":")
    del sys.argv[1:3]

from jupyterd.core import step
from jupyterd.supervisor.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], step))
