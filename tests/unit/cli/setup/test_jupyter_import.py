"""Configurations are programs: whatever one does, its answer is settings or one sentence, within the deadline."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from jupyterd.cli.setup import jupyter_import
from jupyterd.linux.accounts import Account

NOBODY = 65534
_ANSWERS = "import os, sys\nos.write(int(sys.argv[1]), {})\nos._exit(0)"
"""A configuration that answers in the place of the program that reads it."""


@pytest.fixture
def mine(public_path: Path) -> Account:
    return Account("nobody", NOBODY, NOBODY, str(public_path)) if os.geteuid() == 0 else _me(public_path)


def _me(home: Path) -> Account:
    return Account("me", os.geteuid(), os.getegid(), str(home))


def write(home: Path, name: str, text: str) -> None:
    (home / ".jupyter").mkdir(exist_ok=True)
    (home / ".jupyter" / name).write_text(text)


def take(mine: Account, deadline_s: float = 30.0):
    return jupyter_import.take(jupyter_import.found(Path(mine.home, ".jupyter"), mine), mine, deadline_s)


def test_a_directory_of_them_is_read_as_jupyter_reads_it(public_path: Path, mine: Account) -> None:
    write(public_path, "common.py", "c = get_config()\nc.NotebookApp.port = 7000\nc.NotebookApp.ip = '0.0.0.0'\n")
    write(
        public_path,
        "jupyter_notebook_config.py",
        "import os\nprint('hello')\nload_subconfig('common.py')\nc = get_config()\n"
        "c.NotebookApp.port = 8000 + 1\nc.NotebookApp.ip = '*'\nc.ServerApp.jpserver_extensions = {'a': True}\n"
        "c.ServerApp.tornado_settings.update({'x': 1})\nc.NotebookApp.notebook_dir = os.path.expanduser('~/work')\n",
    )
    write(public_path, "jupyter_notebook_config.json", json.dumps({"NotebookApp": {"port": 9000}}))
    write(public_path, "jupyter_server_config.py", "def broken(:\n")
    got = take(mine)
    assert got.values == {"server.port": 9000, "server.ip": ("*",), "server.root_dir": f"{public_path}/work"}
    assert len(got.remarks) == 4, got.remarks
    assert "SyntaxError in line 1" in got.remarks[0]
    assert any("says 9000, which goes before 8001" in each for each in got.remarks)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import sys; sys.exit(3)", "SystemExit in line 1"),
        ("import os; os._exit(0)", "ended the process"),
        ("\nraise ValueError('the password is hunter2')", "ValueError in line 2"),
        ("import time; time.sleep(600)", "did not finish within 2 s"),
        ("import os\nif os.fork(): os._exit(0)\nimport time; time.sleep(600)", "did not finish within 2 s"),
        (_ANSWERS.format("b'[]'"), "changed what the process"),
        (_ANSWERS.format("""b'{"classes": {"A": 3}}'"""), "changed what the process"),
        (_ANSWERS.format("""b'{"error": "\\u001b[2J"}'"""), r"\x1b[2J"),
        (_ANSWERS.format("b'[' * 100000"), "ended the process"),
    ],
)
def test_one_that_misbehaves_is_a_remark(public_path: Path, mine: Account, text: str, words: str) -> None:
    write(public_path, "jupyter_notebook_config.py", text)
    got = take(mine, deadline_s=2.0 if "finish" in words else 30.0)
    assert got.values == {}
    assert len(got.remarks) == 1 and words in got.remarks[0] and "hunter2" not in got.remarks[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second account: run as root")
def test_root_evaluates_it_as_the_account_and_shows_it_nothing(public_path: Path, mine: Account) -> None:
    (public_path / "own").mkdir()
    os.chown(public_path / "own", NOBODY, NOBODY)
    program = (
        "import os\n"
        "with open(os.path.expanduser('~/own/seen'), 'w') as f:\n"
        "    print(os.getuid(), os.geteuid(), os.getgroups(), sorted(os.environ), file=f)\n"
        "    try: open('/dev/tty'); print('a terminal', file=f)\n"
        "    except OSError: pass\n"
    )
    write(public_path, "jupyter_notebook_config.py", program)
    take(mine)
    seen = (public_path / "own" / "seen").read_text()
    assert seen.startswith(f"{NOBODY} {NOBODY} [{NOBODY}] ['HOME', 'LANG'")
    assert "terminal" not in seen


def test_none_is_none(public_path: Path, mine: Account) -> None:
    assert jupyter_import.found(public_path / "nothing", mine) == ()
    (public_path / "other.txt").touch()
    assert jupyter_import.found(public_path, mine) == ()
    assert jupyter_import.found(public_path / "other.txt", mine) == (public_path / "other.txt",)
