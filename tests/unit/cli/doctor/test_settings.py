from __future__ import annotations

from pathlib import Path

import pytest

from jupyterd.cli.doctor import facts, settings


@pytest.mark.parametrize(("hidden", "level"), [(False, "good"), (True, "notice")])
def test_a_notebook_directory_that_the_file_browser_hides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, hidden: bool, level: str
) -> None:
    place = tmp_path / (".hidden" if hidden else "shown")
    place.mkdir()
    file = tmp_path / "jupyterd.toml"
    file.write_text(f'[server]\nroot_dir = "{place}"\nallow_root = true\n')
    monkeypatch.setenv("JUPYTERD_CONFIG", str(file))
    monkeypatch.setenv("JUPYTERD_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "state").mkdir()
    found = [*settings.examine(facts.look("user", deep=False))]
    assert [each.level for each in found if each.subject == "hidden files"][-1] == level, found
    assert any(each.subject == "account" for each in found)
