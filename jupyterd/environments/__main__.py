"""The process that searches: a JSON request on standard input, one environment a line on standard output.

listing.py starts it and kills it with its group at a deadline: what was found until then counts.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from jupyterd.environments import facts, search


def main() -> None:
    """`{"home", "places", "added"}`; the added ones come first, also without an environment there."""
    request = json.load(sys.stdin)
    told: set[str] = set()
    for path in request["added"]:
        told.add(os.path.realpath(path))
        made = facts.look_at(Path(path))
        gone = facts.Environment(path, Path(path).name, "python", trouble="there is no Python environment any more")
        _say(made or gone)
    places = tuple(Path(each) for each in request["places"])
    for path in search.found(Path(request["home"]), os.environ, places):
        if os.path.realpath(path) not in told and (found := facts.look_at(path)) is not None:
            _say(found)


def _say(environment: facts.Environment) -> None:
    sys.stdout.write(json.dumps(asdict(environment)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
