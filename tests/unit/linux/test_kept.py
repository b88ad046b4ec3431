"""Our small files and every damage: whatever is there is read, or set aside and told; nothing else is lost."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from support import damage

from jupyterd.linux import kept
from jupyterd.protocol import documents

GOOD = b'{"format": 1, "name": "x", "numbers": [1, 2.5, null], "inner": {"a": true}}'
DAMAGES = dict([*damage.written(damage.contents(GOOD)), *damage.written(damage.values(GOOD)), *damage.others()])


def test_every_damage_is_read_or_set_aside_and_the_file_can_be_written_again(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for name, spoil in DAMAGES.items():
        damage.remove(path)
        spoil(path)
        before = os.path.lexists(path)
        told: list[str] = []
        found = kept.load(path, documents.document, told.append)
        assert (found is None) == (bool(told) or not before), name
        assert not told or (not os.path.lexists(path) and str(path) in told[0] and ".damaged" in told[0]), name
    left = kept.set_aside_in(tmp_path)
    assert len([each for each in left if not each.is_dir()]) <= kept.ASIDE_MOST


@pytest.mark.parametrize("spoil", [*damage.CONTENTS, *(name for name, _ in damage.others())])
def test_it_can_be_written_in_the_place_of_anything(tmp_path: Path, spoil: str) -> None:
    path, told = tmp_path / "x.json", list[str]()
    DAMAGES[spoil](path)
    kept.write(path, GOOD, told.append)
    assert kept.load(path, documents.document, told.append) == documents.document(GOOD)
    assert len(told) == (spoil not in {*damage.CONTENTS, "removed", "a huge file"})


def test_what_was_set_aside_is_as_it_was_and_a_full_directory_stays(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "work").write_text("somebody's")
    kept.clear(tmp_path / "x", lambda _: None)
    for number in range(20):
        (tmp_path / "x").symlink_to(str(number))
        kept.clear(tmp_path / "x", lambda _: None)
    assert (tmp_path / "x.damaged" / "work").read_text() == "somebody's"
    links = [each for each in kept.set_aside_in(tmp_path) if each.is_symlink()]
    assert len(links) <= kept.ASIDE_MOST
    assert str(tmp_path / "x") not in {str(each) for each in links}
    assert "19" in {str(each.readlink()) for each in links}


def test_companions_go_with_it(tmp_path: Path) -> None:
    for name in ("x.db", "x.db-wal", "x.db-shm"):
        (tmp_path / name).write_text(name)
    told: list[str] = []
    kept.set_aside(tmp_path / "x.db", "malformed", told.append, ("-wal", "-shm", "-journal"))
    assert {each.name for each in tmp_path.iterdir()} == {"x.db.damaged", "x.db.damaged-wal", "x.db.damaged-shm"}
    assert told == [f"{tmp_path / 'x.db'} was damaged (malformed): it was set aside as x.db.damaged"]


@pytest.mark.parametrize("spoil", [name for name, _ in damage.others() if name != "removed"])
def test_a_directory_and_a_lock_in_the_place_of_something_else(tmp_path: Path, spoil: str) -> None:
    told: list[str] = []
    for name in ("spool", "lock"):
        DAMAGES[spoil](tmp_path / name)
    kept.directory(tmp_path / "spool", told.append)
    os.close(kept.open_own(tmp_path / "lock", told.append))
    (tmp_path / "spool" / "x").touch()
    assert (tmp_path / "lock").is_file()
    assert not (tmp_path / "lock").is_symlink()


@pytest.mark.parametrize(
    ("code", "told"),
    [(errno.ENOSPC, "full"), (errno.EROFS, "read-only"), (errno.EIO, "error"), (errno.EDQUOT, "quota")],
)
def test_how_a_disk_is_told(code: int, told: str) -> None:
    assert told in str(kept.disk_trouble(OSError(code, "x")))
    assert kept.disk_trouble(OSError(errno.EACCES, "x")) is None
    assert kept.disk_trouble(ValueError()) is None
