"""What the owner has installed into the server's environment, from two environments on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jupyterd.cli.setup.added import added, main


def install(environment: Path, name: str, version: str = "1.0", *, requested: bool = True, url: str = "") -> None:
    place = environment / "lib/python3.11/site-packages" / f"{name}-{version}.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if requested:
        (place / "REQUESTED").touch()
    if url:
        (place / "direct_url.json").write_text(json.dumps({"url": url}))


@pytest.fixture
def environments(tmp_path: Path) -> tuple[Path, Path]:
    old, new = tmp_path / "old", tmp_path / "new"
    for each in (old, new):
        install(each, "jupyterd", requested=True, url="file:///srv/jupyterd")
        install(each, "notebook", "7.6.5", requested=False)
    return old, new


def test_nothing_was_added(environments: tuple[Path, Path]) -> None:
    assert added(*environments) == ([], [])
    assert added(environments[0] / "gone", environments[1]) == ([], [])


def test_what_was_asked_for_and_is_not_in_the_new_one(environments: tuple[Path, Path]) -> None:
    old, new = environments
    install(old, "Jupyter_Resource.Usage", "1.3.0")
    install(old, "prometheus_flask", requested=False)  # a dependency: it comes by itself
    install(old, "attrs", "22.0")
    install(new, "attrs", "26.1", requested=False)
    install(old, "s3contents", "2.0", url="git+https://example.org/s3")
    assert added(old, new) == (
        ["jupyter-resource-usage==1.3.0"], ["s3contents came from git+https://example.org/s3"],
    )  # fmt: skip


def test_they_are_lines_for_the_shell(environments: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    old, new = environments
    install(old, "a", "1")
    install(old, "b", "2", url="file:///b.whl")
    assert main([str(old), str(new)]) == 0
    out, err = capsys.readouterr()
    assert out == "a==1\n"
    assert (
        err
        == f"jupyterd: b came from file:///b.whl and is not in the new version: {new}/bin/python -m pip install ...\n"
    )
