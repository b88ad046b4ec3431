"""The sessions' file: whatever happens to it, sessions are there, and it follows again when it can."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support import damage
from support.waiting import eventually

from jupyterd.server.sessions import SessionFile, SessionManager

ROWS = [("s1", "a.ipynb", "a", "notebook", "k1"), ("s2", "b.ipynb", None, "console", "k2")]


def saved(path: Path) -> list[tuple[str | None, ...]]:
    with closing(sqlite3.connect(path)) as file:
        return file.execute("SELECT * FROM session").fetchall()


def follows(path: Path) -> bool:
    with contextlib.suppress(sqlite3.Error):
        return saved(path) == ROWS
    return False


def good(path: Path) -> bytes:
    SessionFile(path, print).write(ROWS)
    assert saved(path) == ROWS
    return path.read_bytes()


def test_every_damage_costs_the_rows_at_most_and_new_ones_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    data = good(path)
    cases = [*damage.written(damage.contents(data, 30, 4096)), *damage.others()]
    for name, spoil in cases:
        damage.remove(path)
        spoil(path)
        told: list[str] = []
        file = SessionFile(path, told.append)
        found = file.read()
        assert set(found) <= set(ROWS) or all(isinstance(each[0], str) for each in found), name
        file.write([*found, ("s3", "c.ipynb", "c", "notebook", "k3")])
        assert saved(path)[-1][0] == "s3", (name, told)
        assert all(str(path) in each for each in told), name
        assert len(told) <= 1, (name, told)


def test_what_is_damaged_is_told_and_kept(tmp_path: Path) -> None:
    path, told = tmp_path / "sessions.db", list[str]()
    path.write_text("no database")
    assert SessionFile(path, told.append).read() == []
    assert "sessions.db.damaged" in told[0]
    assert (tmp_path / "sessions.db.damaged").read_text() == "no database"


def test_a_file_that_is_removed_or_damaged_meanwhile_is_written_again(tmp_path: Path) -> None:
    path, told = tmp_path / "sessions.db", list[str]()
    file = SessionFile(path, told.append)
    file.write(ROWS)
    for spoil in (dict(damage.others())["removed"], lambda place: place.write_bytes(b"x" * 5000)):
        damage.remove(path)
        spoil(path)
        file.write(ROWS[:1])
        assert saved(path) == ROWS[:1]


def test_a_disk_that_takes_no_more_is_waited_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions are made all the same; told once; and the file follows by itself."""
    path, told = tmp_path / "sessions.db", list[str]()
    monkeypatch.setattr("jupyterd.server.sessions._AGAIN_S", 0.01)

    async def story() -> None:
        file = SessionFile(path, told.append)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
        try:
            file.write(ROWS[:1])
            file.write(ROWS)
            await asyncio.sleep(0.05)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        await asyncio.to_thread(eventually, lambda: follows(path))

    asyncio.run(asyncio.wait_for(story(), 60))
    assert len(told) == 1 and "notebooks still open" in told[0]


def test_the_manager_takes_rows_back_as_jupyters_own_wrote_them(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("CREATE TABLE session (session_id, path, name, type, kernel_id)")
        file.executemany("INSERT INTO session VALUES (?,?,?,?,?)", ROWS)
    manager = SessionManager(database_filepath=str(path))
    assert [tuple(row) for row in manager.cursor.execute("SELECT * FROM session").fetchall()] == ROWS
    manager.cursor.execute("DELETE FROM session WHERE session_id=?", ("s1",))
    assert saved(path) == ROWS[1:]
    manager.close()
