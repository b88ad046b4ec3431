"""Whether a path lies below a mount is known without a look below it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jupyterd.linux import mounts


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A directory `nas`, which stands for a mount, and links that lead there and elsewhere."""
    (tmp_path / "nas/deep").mkdir(parents=True)
    (tmp_path / "nas-too").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "absolute").symlink_to(tmp_path / "nas/deep")
    (tmp_path / "relative").symlink_to("other/../nas")
    (tmp_path / "chain").symlink_to("relative")
    (tmp_path / "back").symlink_to("nas/../other")
    (tmp_path / "circle").symlink_to("circle")
    return tmp_path


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("nas", True), ("nas/", True), ("nas/deep/a.ipynb", True), ("./nas/x", True), ("other/../nas/x", True),
        ("absolute", True), ("absolute/x", True), ("relative/x", True), ("chain/not/there", True),
        ("nas-too", False), ("nas-too/nas", False), ("other/nas", False), ("", False), ("not-there/nas", False),
        ("circle/nas", False), ("a\0b/nas", False),
    ],
)  # fmt: skip
def test_names_and_links_decide(here: Path, path: str, inside: bool) -> None:  # noqa: FBT001 - a table
    point = str(here / "nas")
    assert mounts.below(f"{here}/{path}", {point}) == (point if inside else None)
    before = Path.cwd()
    os.chdir(here)
    try:
        assert mounts.below(path, {point}) == (point if inside else None)
    finally:
        os.chdir(before)


def test_a_way_that_leads_through_it_counts_as_below_it(here: Path) -> None:
    assert mounts.below(str(here / "back/x"), {str(here / "nas")}) == str(here / "nas"), "the kernel looks there too"
    assert mounts.below(str(here / "nas"), set()) is None


def test_the_longest_mount_point_is_the_one() -> None:
    mine = mounts.own()
    assert getattr(mounts.holding(mine, "/proc/1/stat"), "point", None) == "/proc"
    assert getattr(mounts.holding(mine, "/procession"), "point", None) == "/"
    assert mounts.holding("", "/x") is None
