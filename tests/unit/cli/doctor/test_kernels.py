"""Kernelspecs that cannot start, and those that only a real start shows."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from jupyterd.cli.doctor import environment, kernels
from jupyterd.launch import kernelspec

WORKS = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]


def spec(place: Path, name: str, argv: list[str]) -> Path:
    directory = place / "kernels" / name
    directory.mkdir(parents=True)
    document = {"argv": argv, "display_name": name, "language": "python"}
    (directory / "kernel.json").write_text(json.dumps(document))
    return directory


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["/nowhere/python", "-m", "ipykernel_launcher"], "names a program that does not exist"),
        ([sys.executable, "-m", "no_such_kernel"], f"{sys.executable} has no module no_such_kernel"),
        (WORKS, ""),
        (["sh", "-c", "exit 3"], ""),  # a look cannot tell
    ],
)
def test_what_a_look_shows(tmp_path: Path, argv: list[str], why: str) -> None:
    found = kernelspec.cannot_start(spec(tmp_path, "x", argv))
    assert found.endswith(why) and bool(found) is bool(why)


@pytest.mark.slow
def test_what_only_a_start_shows(tmp_path: Path) -> None:
    assert kernels.started(spec(tmp_path, "works", WORKS)) == ""
    dies = [sys.executable, "-c", "raise SystemExit('no licence for this kernel')"]
    assert kernels.started(spec(tmp_path, "dies", dies)) == "no licence for this kernel"
    assert "No such file" in kernels.started(spec(tmp_path, "none", ["/nowhere/python"]))


def test_the_environment_of_new_notebooks(tmp_path: Path) -> None:
    own = tmp_path / "own"
    assert [*kernels.of_environment(own, own)] == []  # made when the first notebook needs it
    (found,) = kernels.of_environment(tmp_path / "gone", own)
    assert found.level == "wrong" and found.text.endswith("is not there")
    assert [*kernels.of_environment(Path(sys.prefix), own)] == []
    made = tmp_path / "made"
    (made / "bin").mkdir(parents=True)
    (made / "bin/python").symlink_to("/nowhere/python3")
    (made / "pyvenv.cfg").write_text("home = /nowhere\nversion = 3.11.4\n")
    (found,) = kernels.of_environment(made, own)
    assert found.level == "wrong" and "cannot be used: " in found.text and found.advice
    (made / "bin/python").unlink()
    (made / "bin/python").symlink_to(sys.executable)
    (found,) = kernels.of_environment(made, own)
    assert found.text.endswith("has no ipykernel")
    assert found.advice == (f"jupyterd env add {made}",)


TOLD = {
    "environment": {
        "PATH": {"value": "/bin", "from": "the login shell /bin/bash"},
        "http_proxy": {"value": "http://me:secret@proxy", "from": "the login shell /bin/bash"},
        "HOME": {"value": "/home/me", "from": "the service"},
    },
    "limits": {},
    "missing": [],
}


def test_the_environment_of_kernels() -> None:
    (well,) = environment.of(TOLD, "login")
    assert (well.level, well.text) == ("good", "kernels have that of a login (2 variables are from its shell)")
    assert next(each.level for each in environment.of(TOLD, "none")) == "notice"
    sentence = "the login shell /bin/bash did not end within 8 s and was killed, so what it sets is missing"
    first, _ = environment.of({**TOLD, "missing": [sentence]}, "login")
    assert (first.level, first.text, first.advice) == ("wrong", sentence, ("jupyterd env show",))
    assert "secret" not in f"{well}{first}"
