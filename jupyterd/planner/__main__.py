"""The planner as a program: `python -m jupyterd.planner OPTIONS`, with the options of `jupyterd run` as typed.

Prints the plan, or the refusal, as one JSON document (protocol/plan.py).
"""

from __future__ import annotations

import argparse
import os
import sys

from jupyterd.linux import proc
from jupyterd.planner import plan
from jupyterd.protocol.plan import Refused, encode
from jupyterd.settings import options
from jupyterd.settings.problems import Invalid


def main(argv: list[str]) -> int:
    """Print the answer; 0, also for a refusal."""
    proc.die_with_parent()
    parser = argparse.ArgumentParser(prog="jupyterd run", allow_abbrev=False)
    options.add(parser)
    os.chdir(os.environ.pop(plan.CWD, "."))
    try:
        answer = plan.make_plan(plan.ask(parser.parse_args(argv), os.environ, argv), write=True)
    except Invalid as error:
        answer = Refused(tuple(map(str, error.problems)))
    sys.stdout.buffer.write(encode(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
