"""What happens to an environment whose Python is gone depends on who has made it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support import environments

from jupyterd.launch import kernel_environment
from jupyterd.launch.kernel_environment import MADE, EnvironmentFailed


def dead(path: Path, marker: str) -> Path:
    environments.venv(path, ipykernel="7", python="/gone/python3")
    (path / MADE).write_text(marker)
    return path


@pytest.mark.parametrize("marker", [json.dumps({"python": "3.9", "completed": True}), "", "["])
def test_one_of_the_users_own_that_was_completed_is_left_as_it_is(tmp_path: Path, marker: str) -> None:
    theirs = dead(tmp_path / "torch", marker)
    with pytest.raises(EnvironmentFailed, match="move it away, or name another one"):
        kernel_environment.ensure(theirs, lambda _: None)
    assert sorted(each.name for each in tmp_path.iterdir()) == [".torch.lock", "torch"]


def test_one_that_was_made_here_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = dead(tmp_path / "python", json.dumps({"python": "3.9"}))
    monkeypatch.setenv("PATH", "/nowhere")  # no uv; and no network is needed to see what happens first
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    said: list[str] = []
    with pytest.raises(EnvironmentFailed):
        kernel_environment.ensure(ours, said.append)
    assert (tmp_path / "python.old" / MADE).exists(), said
