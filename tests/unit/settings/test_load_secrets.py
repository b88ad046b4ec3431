"""Secrets: what is one, who may read the file, and that none is ever shown."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from jupyterd.linux.accounts import Account
from jupyterd.settings import files, load
from jupyterd.settings.problems import Invalid

ARGON2 = "argon2:$argon2id$v=19$m=10240,t=10,p=8$" + "c2FsdHNhbHQ" + "$" + "aGFzaGhhc2hoYXNo"
SHA1 = "sha1:aabbcc:" + "0" * 40
WANTED = (
    'a hash such as "argon2:$argon2id$..." or an old "sha1:salt:digest" is wanted; make one with: jupyterd config hash'
)
LENGTH = "16 to 512 are wanted: nothing else keeps others out; make one with: openssl rand -hex 24"


def problems(text: str, path: Path, mode: int = 0o600) -> list[str]:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    try:
        load.load(load.sources("foreground", path, {}, {}))
    except Invalid as invalid:
        return [str(each) for each in invalid.problems]
    return []


@pytest.mark.parametrize(
    "good",
    ["", ARGON2, SHA1, "sha256:00ff:" + "1" * 64, ARGON2.replace("argon2id", "argon2i")],
)
def test_a_hash_is_taken(good: str, tmp_path: Path) -> None:
    assert problems(f"[login]\npassword_hash = '{good}'", tmp_path / "x.toml") == []


def test_what_the_hash_verb_makes_is_taken(tmp_path: Path) -> None:
    from jupyter_server.auth.security import passwd  # noqa: PLC0415 - slow

    assert problems(f"[login]\npassword_hash = '{passwd('hunter2')}'", tmp_path / "x.toml") == []


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("hunter2-hunter2", f"login.password_hash is plain text, not a hash; {WANTED}"),
        ("hunter2:x:y", f"login.password_hash is plain text, not a hash; {WANTED}"),
        (ARGON2[:40], f'login.password_hash begins with "argon2:" and is cut off or changed; {WANTED}'),
        ("argon2:hunter2", f'login.password_hash begins with "argon2:" and is cut off or changed; {WANTED}'),
        (
            ARGON2.removeprefix("argon2:"),
            'login.password_hash is an argon2 hash without its "argon2:"; '
            + WANTED.replace("make one with: jupyterd config hash", 'put "argon2:" in front of it'),
        ),
        (SHA1[:-4], f"login.password_hash is a sha1 hash that is cut off or changed; {WANTED}"),
        ("$6$salt$hunter2", f"login.password_hash is a hash of another program (as in /etc/shadow); {WANTED}"),
    ],
)
def test_what_is_no_hash_is_said_and_not_shown(secret: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    assert problems(f"[login]\npassword_hash = '{secret}'", path) == [f"{path}:2: {said}"]


@pytest.mark.parametrize(
    ("token", "said"),
    [
        ("hunter2", f"login.token has 7 characters; {LENGTH}"),
        ("x" * 513, f"login.token has 513 characters; {LENGTH}"),
        (
            "hunter2 hunter2 hunter2",
            (
                "login.token holds a space or a character that is not ASCII; it is sent in a header unchanged; "
                "make one with: openssl rand -hex 24"
            ),
        ),
        (
            "hunter2hunter2hunter2\\u0007",
            "login.token holds control characters; allowed is printable text",
        ),
    ],
)
def test_what_is_no_token_is_said_and_not_shown(token: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    assert problems(f'[login]\ntoken = "{token}"', path) == [f"{path}:2: {said}"]


SPOILT = [
    "[login]\ntoken = hunter2hunter2hunter2",
    "[login]\ntoken: hunter2hunter2hunter2",
    "[login]\ntoken = 'hunter2hunter2hunter2",
    '[login]\ntoken = "hunter2hunter2\\qhunter2"',
    '[login]\npassword_hash = ["hunter2"]\n',
    "[login]\npassword_hash = {hunter2 = 'hunter2'}\n",
    "[login]\ntoken = 2026-01-01",
    "[login]\ntoken = True hunter2",
    "[NotebookApp]\npassword = 'hunter2'\ntoken = 'hunter2'",
    "token = 'hunter2'",
    "[server]\ntoken = 'hunter2'",
    "[login]\npasswort_hash = 'hunter2'",
]


@pytest.mark.parametrize("text", SPOILT)
@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_no_mistake_around_a_secret_shows_it(text: str, mode: int, tmp_path: Path) -> None:
    lines = problems(text, tmp_path / "x.toml", mode)
    assert lines
    assert "hunter2" not in "".join(lines)


def test_a_secret_in_the_environment_or_a_credential_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "jupyterd.password_hash").write_text("hunter2\n")
    environ = {"JUPYTERD_LOGIN_TOKEN": "hunter2", "CREDENTIALS_DIRECTORY": str(tmp_path), "HOME": str(tmp_path)}
    with pytest.raises(Invalid) as caught:
        load.load(
            load.sources("foreground", None, environ, {"login.token": "hunter2", "NotebookApp.password": "hunter2"})
        )
    lines = [str(each) for each in caught.value.problems]
    assert [line.partition(": ")[0] for line in lines] == [
        "credential jupyterd.password_hash", "environment JUPYTERD_LOGIN_TOKEN", "--token", "--NotebookApp.password",
    ]  # fmt: skip
    assert "hunter2" not in "".join(lines)


def test_a_secret_that_everybody_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a file.toml"
    assert problems(f"[login]\ntoken = '{'x' * 20}'", path, 0o604) == [
        f"{path}:2: login.token can be read by everybody on this machine (mode 0604); type: chmod 600 '{path}'"
    ]
    assert problems("[server]\nport = 1", path, 0o644) == []
    assert problems("[login]\ntoken = ''", path, 0o644) == []


def test_settings_that_everybody_can_change_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    assert problems("[server]\nport = 1", path, 0o606) == [
        f"{path}: can be changed by everybody on this machine; type: chmod 600 {path}"
    ]


def facts(mode: int, uid: int, gid: int) -> os.stat_result:
    return os.stat_result((0o100000 | mode, 0, 0, 1, uid, gid, 0, 0, 0, 0))


ADA = Account("ada", 41000, 41000, "/home/ada")


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "who"),
    [
        (0o600, 41000, 41000, None),
        (0o640, 0, 0, None),  # root's group has root in it
        (0o640, 0, 41000, None),  # nobody else is in the group
        (0o600, 41001, 41000, "uid 41001, to whom it belongs,"),
        (0o644, 0, 0, "everybody on this machine (mode 0644)"),
    ],
)
def test_who_else_can_read_a_file(mode: int, uid: int, gid: int, who: str | None) -> None:
    found = files.exposure(Path("/x"), facts(mode, uid, gid), ADA)
    assert (found and found[0]) == who


def test_members_of_a_group_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "others_in_group", lambda _gid, _mine: ("bob", "eve", "mallory", "trent"))
    found = files.exposure(Path("/x"), facts(0o640, 0, 7), ADA)
    assert found == (
        "its group (mode 0640: bob, eve, mallory ...)",
        "type: sudo chown ada /x && sudo chmod 600 /x",
    )


def test_a_digest_is_measured_by_its_algorithm() -> None:
    from jupyterd.settings import rules  # noqa: PLC0415 - a private table, on purpose

    assert all(hashlib.new(name).digest_size * 2 == length for name, length in rules._DIGESTS.items())  # noqa: SLF001
