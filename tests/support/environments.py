"""Directories that look like environments of every tool: the same files, without the gigabytes."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def venv(path: Path, *, ipykernel: str = "", python: str = sys.executable, **configuration: str) -> Path:
    """What `python -m venv`, virtualenv or uv leave: uv="0.13.8" and virtualenv="20.1" are lines of pyvenv.cfg."""
    lines = {"home": str(Path(python).parent), "version": "3.11.2", **configuration}
    _tree(path, ipykernel, python)
    (path / "pyvenv.cfg").write_text("".join(f"{key.replace('_', '-')} = {value}\n" for key, value in lines.items()))
    return path


def conda(path: Path, *, ipykernel: str = "", python: str = sys.executable, base: bool = False) -> Path:
    """What conda, mamba, micromamba or pixi leave."""
    _tree(path, ipykernel, python)
    (path / "conda-meta").mkdir()
    (path / "conda-meta/history").touch()
    (path / "conda-meta/python-3.11.4-h7a1cb2a_0.json").write_text(json.dumps({"name": "python"}))
    if base:
        (path / "condabin").mkdir()
    return path


def usable(path: Path) -> Path:
    """Let what runs in one of these be the Python of the tests, which has ipykernel."""
    python = path / "bin/python"
    python.unlink()
    python.write_text(f'#!/bin/sh\nexec {os.path.realpath(sys.prefix)}/bin/python "$@"\n')
    python.chmod(0o755)
    return path


def _tree(path: Path, ipykernel: str, python: str) -> None:
    (path / "bin").mkdir(parents=True)
    (path / "bin/python").symlink_to(python)
    site = path / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
    site.mkdir(parents=True)
    if ipykernel:
        (site / f"ipykernel-{ipykernel}.dist-info").mkdir()
