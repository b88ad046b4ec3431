"""How a person types this program: by name, or by path where it is not on the PATH, as in a checkout."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from jupyterd.cli.main import VERBS

NAME = "jupyterd"
_COMMAND = re.compile(rf"(?<![\w./-]){NAME}(?= (?:{'|'.join(VERBS)})\b)")


def program(environ: Mapping[str, str]) -> str:
    """What to type in a shell with this environment: "jupyterd", or its quoted path."""
    own = Path(sys.prefix, "bin", NAME)
    found = shutil.which(NAME, path=environ.get("PATH", os.defpath))
    same = found is not None and os.path.realpath(found) == os.path.realpath(own)
    return NAME if same or not own.exists() else shlex.quote(str(own))


def commands(text: str, environ: Mapping[str, str]) -> str:
    """`text` with each "jupyterd VERB" in it as this person types it."""
    return _COMMAND.sub(lambda _: program(environ), text) if _COMMAND.search(text) else text
