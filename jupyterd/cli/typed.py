"""How this program is called by who reads it: by its name where that is this one, else by its whole path."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

NAME = "jupyterd"


def typed(environ: Mapping[str, str]) -> str:
    """What to type in the shell whose environment this is. In a checkout nothing of it is on the PATH."""
    own = Path(sys.prefix, "bin", NAME)
    found = shutil.which(NAME, path=environ.get("PATH", os.defpath))
    same = found is not None and os.path.realpath(found) == os.path.realpath(own)
    return NAME if same or not own.exists() else shlex.quote(str(own))
