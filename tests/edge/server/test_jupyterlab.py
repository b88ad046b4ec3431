"""JupyterLab is imported without Node.js being started: its crash in the sandbox would stand in every journal."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import os, sys
from jupyterd.server import spare as lab
lab.import_jupyterlab()
assert "jupyterlab.labapp" in sys.modules
print(os.environ["PATH"])
"""


def test_it_is_there_and_node_was_not_asked(tmp_path):
    node, asked = tmp_path / "node", tmp_path / "asked"
    node.write_text(f"#!/bin/sh\ntouch {asked}\nexit 1\n")
    node.chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM],
        env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, path), done.stderr
    assert not asked.exists()
