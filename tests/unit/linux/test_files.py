"""Files on a real disk: replaced in one step, private ones refused where something was planted, changes noticed."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

import pytest

from jupyterd.linux import files


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_a_file_is_replaced_whole(tmp_path: Path, *, durable: bool, mode: int) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    with path.open() as before:
        files.replace(path, b"new", mode=mode, durable=durable)
        assert before.read() == "old"
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert [each.name for each in tmp_path.iterdir()] == ["x"]


def test_a_link_is_replaced_and_what_it_leads_to_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "x").symlink_to("victim")
    files.replace(tmp_path / "x", b"new")
    assert (tmp_path / "victim").read_text() == "mine"
    assert not (tmp_path / "x").is_symlink()


def test_what_could_not_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "y").touch()
    with pytest.raises(OSError, match="directory"):
        files.replace(tmp_path / "x", b"new")
    assert [each.name for each in tmp_path.iterdir()] == ["x"]


def test_a_mark_changes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    marks = [files.stat_mark(path)]
    assert marks == [files.ABSENT]
    path.write_text("a")
    marks.append(files.stat_mark(path))
    files.replace(path, b"a")
    marks.append(files.stat_mark(path))
    path.write_text("ab")
    marks.append(files.stat_mark(path))
    assert len(set(marks)) == len(marks)


@pytest.mark.parametrize("kind", ["fifo", "link", "directory", "large", "foreign"])
def test_what_is_not_read_without_trust(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    owner = os.getuid()
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "link":
            (tmp_path / "y").touch()
            path.symlink_to("y")
        case "directory":
            path.mkdir()
        case "large":
            path.write_bytes(b" " * (files.LARGEST_BYTES + 1))
        case _:
            path.touch()
            owner += 1
    with pytest.raises((OSError, ValueError)):
        files.read_untrusted(path, owner)


def test_what_is_read_without_trust(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"data")
    assert files.read_untrusted(tmp_path / "x", os.getuid()) == b"data"


@pytest.mark.parametrize(
    ("held", "shared", "locked"),
    [
        (fcntl.LOCK_EX, False, True), (fcntl.LOCK_EX, True, True), (fcntl.LOCK_SH, False, False),
        (fcntl.LOCK_SH, True, True), (fcntl.LOCK_UN, True, False),
    ],
)  # fmt: skip
def test_whether_a_lock_is_held(tmp_path: Path, held: int, *, shared: bool, locked: bool) -> None:
    path = tmp_path / "lock"
    assert not files.is_locked(path, shared=shared)
    with path.open("w") as file:
        fcntl.flock(file, held)
        assert files.is_locked(path, shared=shared) is locked
    assert not files.is_locked(path, shared=shared)


def test_a_lock_on_nfs_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There flock(2) is emulated by fcntl(2): an exclusive lock needs a descriptor that is open for writing."""
    path = tmp_path / "lock"
    flock = fcntl.flock

    def flock_on_nfs(fd: int, operation: int) -> None:
        if operation & fcntl.LOCK_EX and fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(fd, operation)

    with path.open("w") as file:
        flock(file, fcntl.LOCK_SH)
        monkeypatch.setattr(fcntl, "flock", flock_on_nfs)
        assert files.is_locked(path, shared=True)


def test_a_lock_on_a_file_that_may_only_be_read_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lock"
    opened = os.open

    def open_read_only(name: Path, flags: int) -> int:
        if flags & os.O_ACCMODE != os.O_RDONLY:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(name))
        return opened(name, flags)

    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        monkeypatch.setattr(os, "open", open_read_only)
        assert files.is_locked(path, shared=True)
