"""Whose a path is: a real tree with links, sticky and shared directories, and files of other accounts."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyterd.linux import accounts

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
ALICE, BOB, NAMELESS = 65534, 1, 54321


@pytest.fixture
def tree() -> Iterator[Path]:
    top = Path(tempfile.mkdtemp())
    top.chmod(0o755)
    for name, uid in (("home", 0), ("home/alice", ALICE), ("home/alice/.local", ALICE), ("root", 0), ("root/key", 0)):
        (top / name).mkdir()
        os.chown(top / name, uid, uid)
    (top / "home/alice/roots").mkdir()
    for link, target in (
        ("state", "home/alice/state"), ("up", "home/../root/./key"), ("absolute", f"{top}/home/alice"),
        ("loop", "loop"), ("home/alice/out", "../../root"), ("nothing", "root/absent"), ("to-bob", "root/bobs"),
    ):  # fmt: skip
        (top / link).symlink_to(target)
    (top / "root/bobs").symlink_to("/nonexistent")
    os.lchown(top / "root/bobs", BOB, BOB)
    for name, mode in (("sticky", 0o1777), ("shared", 0o777), ("group", 0o775), ("staff", 0o2775)):
        (top / name).mkdir()
        (top / name).chmod(mode)
        (top / name / "roots").touch()
    os.chown(top / "group", 0, ALICE)
    os.chown(top / "staff", 0, NAMELESS)  # a group without members, as Debian's staff
    (top / "staff").chmod(0o2775)
    (top / "sticky/hers").touch()
    os.chown(top / "sticky/hers", NAMELESS, 0)
    yield top
    shutil.rmtree(top)


@pytest.mark.parametrize(
    ("path", "uid"),
    [
        ("root/key", None), ("root/key/absent", None), ("up", None), ("nothing", None), ("home", None),
        ("home/alice", ALICE), ("home/alice/absent/below", ALICE), ("home/alice/roots", ALICE),
        ("home/alice/out/key", ALICE), ("state", ALICE), ("absolute/x", ALICE), ("to-bob", BOB),
        ("sticky/roots", None), ("staff/roots", None), ("sticky/hers", NAMELESS),
    ],
)  # fmt: skip
def test_whose_it_is(tree: Path, path: str, uid: int | None) -> None:
    who = accounts.master_of(tree / path)
    assert (None if who is None else who.uid) == uid
    assert who is None or who.gid != 0


@pytest.mark.parametrize(
    ("path", "words"), [("shared/roots", "chmod go-w"), ("group/roots", "go-w"), ("loop", "links")]
)
def test_what_several_may_change_is_nobodys(tree: Path, path: str, words: str) -> None:
    with pytest.raises(PermissionError, match=words):
        accounts.master_of(tree / path)


def test_root_keeps_of_its_environment_what_is_roots(tree: Path) -> None:
    hers, roots = f"{tree}/home/alice", f"{tree}/root"
    environ = {
        "PATH": f"{hers}/bin:bin::{tree}/state:{roots}:{tree}/shared:/usr/bin", "HOME": hers, "XDG_CONFIG_HOME": hers,
        "XDG_STATE_HOME": roots, "XDG_SEAT": "seat0", "LANG": "C",
    }  # fmt: skip
    home = pwd.getpwuid(0).pw_dir
    kept = {"PATH": f"{roots}:/usr/bin", "HOME": home, "XDG_STATE_HOME": roots, "LANG": "C"}
    assert accounts.roots_environment(environ) == kept
    assert accounts.roots_environment({"HOME": roots, "PATH": f"{hers}/bin"}) == {
        "HOME": roots, "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    }  # fmt: skip
    assert accounts.roots_environment({})["HOME"] == home


def test_the_name_decides_over_the_group_of_a_file(tree: Path) -> None:
    os.chown(tree / "home/alice", ALICE, 4)
    who = accounts.master_of(tree / "home/alice")
    assert who is not None
    assert (who.name, who.gid) == ("nobody", ALICE)
