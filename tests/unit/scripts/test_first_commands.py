"""./run before anything is set up: what it answers at once, and what it asks before it installs a system package."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.terminal import at_a_terminal

from jupyterd import __version__

ROOT = Path(__file__).parents[3]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone in which nothing is set up."""
    for name in ("run", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    return tmp_path


def run(checkout: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environ = {"HOME": str(checkout), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [checkout / "run", *options], env=environ, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(("option", "shown"), [("--version", f"jupyterd {__version__}\n"), ("--help", "--port 9999")])
def test_a_question_is_answered_without_a_set_up(checkout: Path, option: str, shown: str) -> None:
    done = run(checkout, option)
    assert done.returncode == 0 and shown in done.stdout, done
    assert not (checkout / ".venv").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused")
def test_root_is_refused_before_the_set_up(checkout: Path) -> None:
    done = run(checkout)
    assert done.returncode == 1 and "--allow-root" in done.stderr, done
    assert not (checkout / ".venv").exists()


ASK = """
set -euo pipefail
here=$1
. "$here/scripts/environment.sh"
root() { false; }
mkdir -p "$here/.jupyterd"
need_venv "$here/bin/python"
echo "it is there"
"""


@pytest.fixture
def without_venv(checkout: Path) -> Path:
    """A machine whose Python has no venv module, with an apt-get and a sudo that only note what is asked of them."""
    tools = checkout / "bin"
    tools.mkdir()
    for name, text in {
        "python": "exit 1",
        "apt-get": f'echo "apt-get $*" >>{checkout}/asked',
        "sudo": f'echo "sudo $*" >>{checkout}/asked; case $1 in -v) exit 0 ;; -n) shift; exec "$@" ;; esac',
    }.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    return checkout


def answered(where: Path, answer: bytes) -> str:
    """What the terminal shows when `answer` is typed at the question."""
    environ = {"HOME": str(where), "PATH": f"{where}/bin:/usr/bin:/bin"}
    argv = ("/bin/bash", "-c", ASK, "bash", str(where))
    return at_a_terminal(*argv, environ=environ, asked=b"[y/N] ", answer=answer)


@pytest.mark.parametrize("answer", [b"\n", b"n\n"])
def test_sudo_is_not_used_without_a_yes(without_venv: Path, answer: bytes) -> None:
    shown = answered(without_venv, answer)
    assert "Type: sudo apt install" in shown and "install uv" in shown and "it is there" not in shown, shown
    assert not (without_venv / "asked").exists()


def test_with_a_yes_sudo_installs_the_package(without_venv: Path) -> None:
    assert "it is there" in answered(without_venv, b"y\n")
    asked = (without_venv / "asked").read_text().splitlines()
    assert asked[0] == "sudo -v" and any("apt-get install" in each and "venv" in each for each in asked), asked


def test_without_a_terminal_nothing_is_asked(without_venv: Path) -> None:
    environ = {"HOME": str(without_venv), "PATH": f"{without_venv}/bin:/usr/bin:/bin"}
    done = subprocess.run(
        ["bash", "-c", ASK, "bash", str(without_venv)], env=environ, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "Type: sudo apt install" in done.stderr
    assert not (without_venv / "asked").exists()
