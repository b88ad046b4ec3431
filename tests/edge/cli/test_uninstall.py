"""`jupyterd uninstall` of one's own server, where no systemd runs: what is deleted, and what never is."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.served import COMMAND, UID, served


@pytest.fixture
def home() -> Iterator[Path]:
    """With settings, a state and a notebook."""
    with tempfile.TemporaryDirectory(prefix="jupyterd-uninstall-") as made:
        place = Path(made)
        for each in (".config/jupyterd/jupyterd.toml", ".local/state/jupyterd/tls/x.pem", "work/kept.ipynb"):
            (place / each).parent.mkdir(parents=True, exist_ok=True)
            (place / each).write_text("")
        (place / ".local/state/jupyterd").chmod(0o700)
        if os.geteuid() == 0:
            for path in (place, *place.rglob("*")):
                os.chown(path, UID, UID)
        yield place


def uninstall(home: Path, *more: str) -> subprocess.CompletedProcess[str]:
    other = {"user": UID, "group": UID, "extra_groups": ()} if os.geteuid() == 0 else {}
    return subprocess.run(
        [*COMMAND, "uninstall", *more], env={"HOME": str(home), "PATH": "/usr/bin:/bin"}, cwd=home, text=True,
        stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False, **other,
    )  # type: ignore[call-overload,no-any-return]  # fmt: skip


def files(home: Path) -> set[str]:
    return {str(each.relative_to(home)) for each in home.rglob("*") if each.is_file()}


def test_settings_state_and_notebooks_stay_and_purge_leaves_the_notebooks(home: Path) -> None:
    before = files(home)
    done = uninstall(home)
    assert done.returncode == 0, done.stderr
    assert f"kept: {home}/.config/jupyterd (settings)" in done.stderr
    assert files(home) == before
    refused = uninstall(home, "--purge")
    assert (refused.returncode, files(home)) == (2, before)
    assert "--purge without a terminal needs --yes" in refused.stderr
    done = uninstall(home, "--purge", "--yes")
    assert done.returncode == 0, done.stderr
    assert files(home) == {"work/kept.ipynb"}
    assert not (home / ".local/state/jupyterd").exists()


def test_notebooks_in_the_state_are_not_purged(home: Path) -> None:
    inside = home / ".local/state/jupyterd/notebooks"
    inside.mkdir()
    (home / ".config/jupyterd/jupyterd.toml").write_text(f'[server]\nroot_dir = "{inside}"\n')
    before = files(home)
    refused = uninstall(home, "--purge", "--yes")
    assert (refused.returncode, files(home)) == (2, before)
    assert "move them first" in refused.stderr
    (home / ".config/jupyterd/jupyterd.toml").write_text("[server]\nprot = 1\n")
    refused = uninstall(home, "--purge", "--yes")
    assert (refused.returncode, files(home)) == (2, before)
    assert "server.prot" in refused.stderr


def test_a_server_that_runs_is_left_alone() -> None:
    with served("--no-lab") as server:
        assert server.link
        refused = server.verb("uninstall", "--purge", "--yes")
        assert refused.returncode == 1 and "jupyterd stop" in refused.stderr
        assert server.status()["running"] is True
