"""`python -I -m jupyterd.daemon --plan-fd N ...`: the supervisor as a program.

Started by cli/run.py with a finished plan, in the same process. Neighbour: supervisor.py.
"""

from __future__ import annotations

import sys

from jupyterd.daemon import lean

if __name__ == "__main__":
    lean.keep_inspect_out()
    from jupyterd.core import step
    from jupyterd.daemon.supervisor import main

    sys.exit(main(sys.argv[1:], step))
