"""What the owner of the machine has installed into the environment of the server. An upgrade makes another environment:
./install puts the same packages into it, or names them.

Runs in the new environment, as root: both environments are root's.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path


def added(old: Path, new: Path) -> tuple[list[str], list[str]]:
    """(requirements that a package index can give again, sentences about what came from elsewhere): what somebody has
    asked for in the environment `old` and is not in `new`. What it needs in turn comes with it.
    """
    there = {_name(each) for each in _installed(new)}
    again: dict[str, str] = {}
    elsewhere: dict[str, str] = {}
    for each in _installed(old):
        name = _name(each)
        # PEP 376: pip and uv leave REQUESTED with what was asked for by name.
        if name in there or each.read_text("REQUESTED") is None:
            continue
        url = _url(each)
        if url is None:
            again[name] = f"{name}=={each.version}"
        else:
            elsewhere[name] = f"{name} came from {url}"
    return [again[name] for name in sorted(again)], [elsewhere[name] for name in sorted(elsewhere)]


def _installed(environment: Path) -> list[Distribution]:
    places = [str(each) for each in environment.glob("lib/python3*/site-packages")]
    return [each for each in distributions(path=places) if each.metadata and each.metadata["Name"]]


def _name(distribution: Distribution) -> str:
    """As PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", str(distribution.metadata["Name"])).lower()


def _url(distribution: Distribution) -> str | None:
    """Where it came from, if not from an index (PEP 610)."""
    try:
        return str(json.loads(distribution.read_text("direct_url.json") or "{}")["url"])
    except (KeyError, TypeError, ValueError):
        return None


def main(argv: list[str]) -> int:
    """OLD NEW: a requirement on each line of standard output, sentences on standard error."""
    again, elsewhere = added(Path(argv[0]), Path(argv[1]))
    for each in elsewhere:
        print(
            f"jupyterd: {each} and is not in the new version: {argv[1]}/bin/python -m pip install ...", file=sys.stderr
        )
    print("\n".join(again))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
