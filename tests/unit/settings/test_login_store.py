from __future__ import annotations

import json
import os
import stat
import threading

import pytest

from jupyterd.settings import login_store
from jupyterd.settings.login_store import StoredLogin


def test_a_token_is_good_once(tmp_path):
    path = tmp_path / "state/login.json"
    token = login_store.issue_token(path)
    assert login_store.read(path).token_sha256
    assert not login_store.has_password(path)
    assert login_store.judge(login_store.read(path), token) == "fresh"
    assert login_store.consume(path, token) == "fresh"
    assert login_store.consume(path, token) == "used"
    assert login_store.consume(path, "x") == "wrong"
    assert not login_store.read(path).token_sha256


def test_a_password_comes_with_the_token_and_stays(tmp_path):
    path = tmp_path / "login.json"
    assert login_store.consume(path, "wrong", "argon2:x") == "wrong"
    assert not login_store.has_password(path)
    assert login_store.consume(path, login_store.issue_token(path), "argon2:one") == "fresh"
    assert login_store.consume(path, login_store.issue_token(path)) == "fresh"
    assert login_store.read(path).password_hash == "argon2:one"


def test_a_new_token_ends_the_old_one(tmp_path):
    path = tmp_path / "login.json"
    old, new = login_store.issue_token(path), login_store.issue_token(path)
    assert login_store.consume(path, old) == "wrong"
    assert login_store.consume(path, new) == "fresh"


def test_nothing_that_lets_anybody_in_is_stored(tmp_path):
    path = tmp_path / "login.json"
    token = login_store.issue_token(path)
    assert token not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_empty_token_is_wrong_also_when_none_waits(tmp_path):
    assert login_store.consume(tmp_path / "login.json", "") == "wrong"


def test_of_many_at_once_one_gets_in(tmp_path):
    path = tmp_path / "login.json"
    token = login_store.issue_token(path)
    verdicts: list[str] = []
    threads = [threading.Thread(target=lambda: verdicts.append(login_store.consume(path, token))) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(verdicts) == ["fresh"] + ["used"] * 7


@pytest.mark.parametrize("text", ["", "{", "[]", json.dumps({"format": 9}), json.dumps({"format": 1, "used": "x"})])
def test_a_damaged_file_is_set_aside_and_a_new_one_begins(tmp_path, text):
    path, told = tmp_path / "login.json", []
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ValueError, match=r"version|JSON|Expecting|type"):
        login_store.read(path)
    assert login_store.read_or_set_aside(path, told.append) == StoredLogin()
    assert (tmp_path / "login.json.damaged").read_text() == text
    assert len(told) == 1 and "login.json" in told[0]
    token = login_store.issue_token(path, told.append)
    assert login_store.judge(login_store.read(path), token) == "fresh"
    assert len(told) == 1


@pytest.mark.parametrize(
    "deed", [login_store.issue_token, lambda path, tell: login_store.set_password(path, "x", tell)]
)
def test_whoever_changes_it_sets_a_damaged_one_aside(tmp_path, deed):
    path, told = tmp_path / "login.json", []
    os.mkfifo(path, 0o600)
    deed(path, told.append)
    assert len(told) == 1
    assert login_store.read(path) != StoredLogin()


def test_a_link_is_not_followed(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("{}")
    (tmp_path / "login.json").symlink_to(elsewhere)
    with pytest.raises(ValueError, match="symbolic link"):
        login_store.read(tmp_path / "login.json")
    assert login_store.read_or_set_aside(tmp_path / "login.json", lambda _: None) == StoredLogin()
    assert elsewhere.read_text() == "{}"
    assert (tmp_path / "login.json.damaged").readlink() == elsewhere
