"""`jupyterd kernels list`: what names of kernelspecs and notebooks may hold."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import pytest

from jupyterd.cli import kernels
from jupyterd.launch import registry
from jupyterd.launch.registry import Entry
from jupyterd.linux import proc

BAD = "a\x1b]0;b\x07\nc\u202e"


def test_names_are_one_line_and_nothing_that_a_terminal_obeys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = tmp_path / "kernels"
    registry.write(records, Entry("k1", BAD, ("x",), f"/{BAD}", "/x", "signal", None, 1.0), {"JPY_SESSION_NAME": BAD})
    (records / "k1.pid").write_text(json.dumps(asdict(proc.this_process())))
    (records / "k1.pid").chmod(0o600)
    asked = argparse.ArgumentParser()
    kernels.arguments(asked)
    assert kernels.main(asked.parse_args(["list", "--state", str(tmp_path)])) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.isprintable() and line.startswith("k1  a\\x1b]0;b\\x07\\nc\\u202e  pid ")
