"""Which logins have ended, through restarts, damage and a disk that cannot be written."""

from __future__ import annotations

import os

import pytest

from jupyterd.server.auth.logouts import MOST, Logouts

DAY_S = 86400


def made(tmp_path, now=(1e9,)):
    said: list[str] = []
    return Logouts(tmp_path / "logouts", said.append, lambda: now[0]), said


def test_an_ended_login_stays_ended_and_others_go_on(tmp_path):
    first, _ = made(tmp_path)
    assert "one" not in first
    first.add("one", 31)
    for logouts in (first, made(tmp_path)[0]):
        assert "one" in logouts
        assert "other" not in logouts
    assert (tmp_path / "logouts").stat().st_mode & 0o777 == 0o600
    assert "one" not in (tmp_path / "logouts").read_text()


def test_another_process_is_heard_and_old_lines_go(tmp_path):
    now = [1e9]
    first, second = made(tmp_path, now)[0], made(tmp_path, now)[0]
    assert "one" not in second
    first.add("one", 31)
    assert "one" in second
    now[0] += 32 * DAY_S
    second.add("two", 31)
    assert len((tmp_path / "logouts").read_text().splitlines()) == 1
    assert "two" in first


@pytest.mark.parametrize(
    ("damage", "kept"),
    [
        (lambda lines: [lines[0][:-4], *lines[1:]], {"two", "three"}),
        (lambda lines: [b"\xff\x00" + lines[0], *lines[1:]], {"two", "three"}),
        (lambda lines: [*lines[:2], lines[2][:20]], {"one", "two"}), (lambda _: [], set()),
        (lambda lines: [bytes(4096), *lines], {"one", "two", "three"}),
    ],
)  # fmt: skip
def test_a_damaged_line_costs_that_line(tmp_path, damage, kept):
    now = [1e9]
    logouts, _ = made(tmp_path, now)
    for name in ("one", "two", "three"):
        now[0] += 1
        logouts.add(name, 31)
    path = tmp_path / "logouts"
    path.write_bytes(b"\n".join(damage(path.read_bytes().splitlines())))
    again, said = made(tmp_path, now)
    assert {name for name in ("one", "two", "three") if name in again} == kept
    assert len(said) == bool(path.read_bytes())
    again.add("four", 31)
    assert "four" in made(tmp_path, now)[0]


@pytest.mark.parametrize("what", ["directory", "link", "fifo"])
def test_what_is_in_its_place_is_set_aside(tmp_path, what):
    path = tmp_path / "logouts"
    {"directory": path.mkdir, "link": lambda: path.symlink_to("/etc/passwd"), "fifo": lambda: os.mkfifo(path)}[what]()
    logouts, said = made(tmp_path)
    assert "one" not in logouts
    logouts.add("one", 31)
    assert "one" in made(tmp_path)[0]
    assert any("set aside" in each for each in said)


def test_a_disk_that_cannot_be_written_ends_the_login_here_all_the_same(tmp_path):
    logouts = Logouts(tmp_path / "not-there" / "logouts", lambda _: None)
    with pytest.raises(OSError, match="No such file"):
        logouts.add("one", 31)
    assert "one" in logouts


def test_it_does_not_grow_for_ever(tmp_path):
    logouts, _ = made(tmp_path)
    (tmp_path / "logouts").write_text("".join(f"{2 * 10**9 + number} {number:032x}\n" for number in range(MOST + 5)))
    (tmp_path / "logouts").chmod(0o600)
    logouts.add("one", 31)
    assert len((tmp_path / "logouts").read_text().splitlines()) == MOST
