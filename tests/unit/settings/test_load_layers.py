"""Which layer wins, and that every value knows where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest

from jupyterd.linux.accounts import Account
from jupyterd.settings import load, table
from jupyterd.settings.problems import DEFAULT, Invalid, Origin
from jupyterd.settings.schema import Settings

ADA = Account("ada", 1000, 1000, "/home/ada")


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def loaded(
    home: Path, environ: Mapping[str, str] | None = None, overrides: Mapping[str, str | bool] | None = None
) -> load.Loaded:
    given = load.sources("foreground", None, {"HOME": str(home), **(environ or {})}, overrides or {})
    return load.load(given)


def refusal(home: Path, environ: Mapping[str, str]) -> list[str]:
    with pytest.raises(Invalid) as caught:
        loaded(home, environ)
    return [str(each) for each in caught.value.problems]


def test_without_anything_the_defaults_hold_and_say_so(tmp_path: Path) -> None:
    found = loaded(tmp_path)
    assert found.settings == attrs.evolve(Settings(), server=attrs.evolve(Settings().server, root_dir=str(tmp_path)))
    assert set(found.origins) == set(table.SETTINGS)
    assert set(found.origins.values()) == {DEFAULT}


def test_each_layer_wins_over_the_one_before_it(tmp_path: Path) -> None:
    own = tmp_path / ".config/jupyterd"
    keys = ("hang_after_s", "start_timeout_s", "stop_timeout_s", "probe_every_s")
    main = put(own / "jupyterd.toml", "[supervision]\n" + "\n".join(f"{key} = 11" for key in keys))
    first = put(own / "jupyterd.toml.d/10-x.toml", "[supervision]\n" + "\n".join(f"{key} = 12" for key in keys[1:]))
    second = put(own / "jupyterd.toml.d/9-x.toml", "[supervision]\n" + "\n".join(f"{key} = 13" for key in keys[1:2]))
    environ = {f"JUPYTERD_SUPERVISION_{key.upper()}": "14" for key in keys[2:]}
    found = loaded(tmp_path, environ, {"supervision.probe_every_s": "15"})
    assert found.settings.supervision == attrs.evolve(
        found.settings.supervision, hang_after_s=11, start_timeout_s=13, stop_timeout_s=14, probe_every_s=15
    )
    assert [found.origins[f"supervision.{key}"] for key in keys] == [
        Origin(str(main), 2),
        Origin(str(second), 2),
        Origin("environment JUPYTERD_SUPERVISION_STOP_TIMEOUT_S"),
        Origin("--probe-every"),
    ]
    assert str(first) not in {origin.place for origin in found.origins.values()}


def test_dropins_without_a_main_file_count_and_other_names_do_not(tmp_path: Path) -> None:
    directory = tmp_path / ".config/jupyterd/jupyterd.toml.d"
    put(directory / "a.toml", "[server]\nport = 1001")
    put(directory / "b.toml.dpkg-old", "[server]\nport = 1002")
    put(directory / ".b.toml", "[server]\nport = 1003")
    assert loaded(tmp_path).settings.server.port == 1001


def test_an_explicit_file_stands_for_every_file(tmp_path: Path) -> None:
    put(tmp_path / ".config/jupyterd/jupyterd.toml", "[server]\nport = 1001\nlab = false")
    put(tmp_path / "x.toml.d/a.toml", "[server]\nport = 1002")
    file = put(tmp_path / "x.toml", "[server]\nhidden_files = true")
    given = load.sources("foreground", file, {"HOME": str(tmp_path)}, {})
    assert load.load(given).settings.server.port == 8888
    assert load.load(given).settings.server.hidden_files
    named = loaded(tmp_path, {"JUPYTERD_CONFIG": str(file)})
    assert (named.settings.server.lab, named.settings.server.hidden_files) == (True, True)
    other = put(tmp_path / "y.toml", "[server]\nport = 1003")
    both = load.sources("foreground", other, {"HOME": str(tmp_path), "JUPYTERD_CONFIG": str(file)}, {})
    assert load.load(both).settings.server.port == 1003


def test_an_explicit_file_must_be_there(tmp_path: Path) -> None:
    missing = tmp_path / "x.toml"
    (line,) = refusal(tmp_path, {"JUPYTERD_CONFIG": str(missing)})
    assert line == f"{missing}: does not exist; type the path of a settings file, or make one: jupyterd config sample"


@pytest.mark.parametrize(
    ("mode", "environ", "places"),
    [
        ("service", {"XDG_CONFIG_HOME": "/x"}, ["/usr/lib/jupyterd", "/etc/jupyterd"]),
        ("user", {}, ["/usr/lib/jupyterd", "/home/ada/.config/jupyterd"]),
        ("foreground", {}, ["/home/ada/.config/jupyterd"]),
        ("foreground", {"XDG_CONFIG_HOME": "/x"}, ["/x/jupyterd"]),
        ("foreground", {"XDG_CONFIG_HOME": "x"}, ["/home/ada/.config/jupyterd"]),
    ],
)
def test_each_mode_has_its_places(mode: load.Mode, environ: dict[str, str], places: list[str]) -> None:
    given = load.sources(mode, None, environ, {}, ADA)
    assert [str(each.path) for each in given.places] == [
        f"{base}/{name}" for base in places for name in ("jupyterd.toml", "jupyterd.toml.d")
    ]


def test_credentials_are_below_the_environment_and_above_files(tmp_path: Path) -> None:
    put(tmp_path / ".config/jupyterd/jupyterd.toml", f"[login]\ntoken = '{'a' * 20}'")
    put(tmp_path / "credentials/jupyterd.token", "b" * 20 + "\n")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    found = loaded(tmp_path, environ)
    assert found.settings.login.token == "b" * 20
    assert found.origins["login.token"] == Origin("credential jupyterd.token")
    assert loaded(tmp_path, {**environ, "JUPYTERD_LOGIN_TOKEN": "c" * 20}).settings.login.token == "c" * 20


def test_the_environment_takes_every_kind(tmp_path: Path) -> None:
    found = loaded(
        tmp_path,
        {
            "JUPYTERD_SERVER_IP": "10.0.0.1, ::1",
            "JUPYTERD_SERVER_PORT": " 9999 ",
            "JUPYTERD_SERVER_LAB": "No",
            "JUPYTERD_SERVER_BASE_URL": "lab1",
            "JUPYTERD_GPU_SAMPLE_EVERY_S": "2.5",
        },
    ).settings
    assert found.server.ip == ("10.0.0.1", "::1")
    assert (found.server.port, found.server.lab, found.server.base_url) == (9999, False, "/lab1/")
    assert found.gpu.sample_every_s == 2.5


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("JUPYTERD_SERVER_PORT", "abc", 'server.port is "abc"; allowed is a whole number from 1 to 65535'),
        ("JUPYTERD_SERVER_PORT", "", 'server.port is ""; allowed is a whole number from 1 to 65535'),
        ("JUPYTERD_SERVER_PORT", "80.5", 'server.port is "80.5"; allowed is a whole number from 1 to 65535'),
        ("JUPYTERD_SERVER_LAB", "maybe", 'server.lab is "maybe"; allowed is true or false'),
        ("JUPYTERD_SERVER_PROT", "1", "is not a setting; did you mean JUPYTERD_SERVER_PORT?"),
        ("JUPYTERD_SEVER_PORT", "1", "is not a setting; did you mean JUPYTERD_SERVER_PORT?"),
        ("JUPYTERD_PORT", "1", "is not a setting; did you mean JUPYTERD_SERVER_PORT?"),
        ("JUPYTERD_GPU_LOG_EVERY_S", "nan", 'gpu.log_every_s is "nan"; allowed is a number from 1 to 86400 (seconds)'),
        (
            "JUPYTERD_SERVER_ROOT_DIR",
            "/a\udcff",
            'server.root_dir holds bytes that are not UTF-8: "/a\\udcff"; allowed is printable text',
        ),
    ],
)
def test_a_wrong_variable_is_named(name: str, value: str, line: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, {name: value}) == [f"environment {name}: {line}"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JUPYTERD_MODE", "service"),
        ("JUPYTERD_STATE_DIR", "/x"),
        ("JUPYTERD_RUNTIME_DIR", "/x"),
        ("JUPYTERD_LOG", "terminal"),
        ("JUPYTERD_CHANNEL_FD", "3"),
        ("JUPYTERD_PID", "3"),
        ("JUPYTERD_PORT", "tcp://10.0.0.1:8888"),
        ("JUPYTERD_PORT_8888_TCP_ADDR", "10.0.0.1"),
    ],
)
def test_other_variables_of_ours_are_not_settings(name: str, value: str, tmp_path: Path) -> None:
    assert loaded(tmp_path, {name: value}).settings == loaded(tmp_path).settings


def test_a_plain_text_stands_for_a_list_of_one(tmp_path: Path) -> None:
    file = put(tmp_path / "x.toml", "[server]\nip = '*'")
    assert loaded(tmp_path, {"JUPYTERD_CONFIG": str(file)}).settings.server.ip == ("*",)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["LOCALHOST"], ("localhost",)),
        (["0:0:0:0:0:0:0:1", "::1"], ("::1",)),
        (["*", "10.0.0.1"], ("*", "10.0.0.1")),
        (["fe80::1%eth0"], ("fe80::1%eth0",)),
        (["0.0.0.0", "::"], ("0.0.0.0", "::")),
    ],
)
def test_addresses_are_kept_in_their_usual_spelling(given: list[str], kept: tuple[str, ...], tmp_path: Path) -> None:
    file = put(tmp_path / "x.toml", f"[server]\nip = {given!r}")
    assert loaded(tmp_path, {"JUPYTERD_CONFIG": str(file)}).settings.server.ip == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [("", "/"), ("/", "/"), ("lab", "/lab/"), ("/lab", "/lab/"), ("a/b/", "/a/b/"), ("/user/a@b.c/", "/user/a@b.c/")],
)
def test_missing_slashes_of_a_base_url_are_added(given: str, kept: str, tmp_path: Path) -> None:
    assert loaded(tmp_path, {"JUPYTERD_SERVER_BASE_URL": given}).settings.server.base_url == kept


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("~", "{home}"),
        ("~/a", "{home}/a"),
        ("~root/a", "/root/a"),
        ("/a//b/", "/a/b"),
        (".", "{cwd}"),
        ("../x", "{up}/x"),
    ],
)
def test_a_path_is_made_whole(typed: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "work/here"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    found = loaded(tmp_path, overrides={"server.root_dir": typed}).settings.server.root_dir
    assert found == meant.format(home=tmp_path, cwd=here, up=here.parent)


def test_in_the_service_home_is_what_the_password_database_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/elsewhere")
    given = load.sources("service", None, {"HOME": "/elsewhere"}, {})
    assert given.account.home != "/elsewhere"


def test_mark_of_windows_editors_is_skipped(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_bytes(b"\xef\xbb\xbf[server]\r\nport = 1234\r\n")
    assert loaded(tmp_path, {"JUPYTERD_CONFIG": str(file)}).settings.server.port == 1234
