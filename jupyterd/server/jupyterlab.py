"""Imports JupyterLab's application without starting Node.js, which it does at its import where there is one.

It asks yarn for a registry that only a build would use: 0.3 s, and V8 cannot run in the service's sandbox, so that
each start left a crash in the journal.
"""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import import_module

APP = "jupyterlab.labapp"


def load() -> None:
    """Whoever needs it says so when it is not there."""
    path = os.environ.get("PATH")
    os.environ["PATH"] = os.devnull  # what is not on it is not started: jupyterlab.commands._yarn_config
    try:
        with suppress(ImportError):
            import_module(APP)
    finally:
        if path is None:
            del os.environ["PATH"]
        else:
            os.environ["PATH"] = path
