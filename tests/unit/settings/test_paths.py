"""Which directories a command is about, and that only the account's own are used."""

from __future__ import annotations

import fcntl
import os
import pwd
from pathlib import Path

import pytest

from jupyterd.settings import paths
from jupyterd.settings.problems import Invalid

UID = os.getuid()
HOME = {"HOME": "/home/ada"}


def test_in_a_terminal_the_runtime_directory_lies_in_the_state() -> None:
    found = paths.discover(HOME, UID, "foreground")
    assert (str(found.state), str(found.runtime)) == (
        "/home/ada/.local/state/jupyterd", "/home/ada/.local/state/jupyterd/run",
    )  # fmt: skip
    assert paths.discover({**HOME, "XDG_STATE_HOME": "/s"}, UID, "foreground").state == Path("/s/jupyterd")
    assert paths.discover({**HOME, "XDG_STATE_HOME": "s"}, UID, "foreground").state == found.state


def test_a_users_unit_has_the_same_directories() -> None:
    """systemd 252 would say ~/.config: then no verb would find what 254 keeps in ~/.local/state."""
    given = {**HOME, "STATE_DIRECTORY": "/home/ada/.config/jupyterd", "RUNTIME_DIRECTORY": "/run/user/1/jupyterd"}
    found = paths.discover({**given, "JUPYTERD_MODE": "user"}, UID)
    assert (found.mode, found.state) == ("user", Path("/home/ada/.local/state/jupyterd"))


def test_the_named_state_directory_wins_and_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = paths.discover({**HOME, "JUPYTERD_STATE_DIR": "x"}, UID)
    assert (found.mode, found.state, found.runtime) == ("foreground", tmp_path / "x", tmp_path / "x/run")


def test_a_service_lies_where_systemd_says() -> None:
    given = {"STATE_DIRECTORY": "/s:/other", "RUNTIME_DIRECTORY": "/r"}
    found = paths.discover(given, UID, "service")
    assert (found.state, found.runtime) == (Path("/s"), Path("/r"))
    by_hand = paths.discover({}, UID, "service")
    assert (by_hand.state, by_hand.runtime) == (Path("/var/lib/jupyterd"), Path("/run/jupyterd"))


def test_the_socket_paths_fit_whatever_the_home_is_called() -> None:
    for length in range(1, 120):
        state = "/" + "x" * length
        found = paths.discover({"JUPYTERD_STATE_DIR": state}, 1234, "foreground")
        assert len(os.fsencode(found.kernel_sockets / "0123456789ab-65535")) <= 100
        if str(found.runtime) != f"{state}/run":
            assert str(found.runtime).startswith("/tmp/jupyterd-1234-")  # noqa: S108 - what is tested
            assert len(found.runtime.name) == len("jupyterd-1234-") + 8
    short, long = ("/" + "ä" * count for count in (35, 45))
    assert str(paths.discover({"JUPYTERD_STATE_DIR": short}, 1, "foreground").runtime).startswith("/ä")
    assert str(paths.discover({"JUPYTERD_STATE_DIR": long}, 1, "foreground").runtime).startswith("/tmp/")  # noqa: S108


@pytest.mark.parametrize(
    ("value", "mode"), [("service", "service"), ("user", "user"), ("", "foreground"), (None, "foreground")]
)
def test_the_unit_says_what_a_daemon_is(value: str | None, mode: str) -> None:
    assert paths.mode_of({} if value is None else {"JUPYTERD_MODE": value}) == mode


def test_a_mode_that_does_not_exist_is_refused() -> None:
    with pytest.raises(
        Invalid, match="environment JUPYTERD_MODE: is not a mode; allowed are service, user and foreground"
    ):
        paths.mode_of({"JUPYTERD_MODE": "servcie"})


def asked(environ: dict[str, str], uid: int, service_state: Path) -> str:
    return paths.discover(environ, uid, None, service_state).mode


def test_whose_service_it_is_means_the_service_unless_an_own_one_runs(tmp_path: Path) -> None:
    service, own = tmp_path / "service", tmp_path / "home/.local/state/jupyterd"
    environ = {"HOME": str(tmp_path / "home")}
    assert asked(environ, 54321, service) == "foreground"
    assert asked(environ, 0, service) == "service"
    service.mkdir()
    assert asked(environ, UID, service) == "service"
    assert asked(environ, 54321, service) == "foreground"
    own.mkdir(parents=True)
    assert asked(environ, UID, service) == "service"
    with (own / "lock").open("w") as lock:
        assert asked(environ, UID, service) == "service"
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert asked(environ, UID, service) == "foreground"
        assert asked({**environ, "JUPYTERD_MODE": "service"}, UID, service) == "service"
    assert asked(environ, UID, service) == "service"
    service.rmdir()
    assert asked(environ, 0, service) == "foreground"


def test_directories_are_made_for_the_account_alone(tmp_path: Path) -> None:
    found = paths.Paths("foreground", tmp_path / "a/state", tmp_path / "a/state/run")
    paths.prepare(found)
    assert [oct(each.stat().st_mode & 0o777) for each in (found.state, found.runtime)] == ["0o700", "0o700"]
    found.state.chmod(0o755)
    paths.prepare(found)
    assert oct(found.state.stat().st_mode & 0o777) == "0o700"


def test_the_state_may_be_a_link_and_the_runtime_may_not(tmp_path: Path) -> None:
    big, link = tmp_path / "big", tmp_path / "link"
    big.mkdir()
    link.symlink_to(big)
    paths.prepare(paths.Paths("foreground", link, link / "run"))
    assert (big / "run").is_dir()
    with pytest.raises(Invalid, match=f"^{link}: cannot be used .*JUPYTERD_STATE_DIR"):
        paths.prepare(paths.Paths("foreground", big, link))


@pytest.mark.skipif(UID != 0, reason="only root can make what belongs to somebody else")
def test_somebody_elses_directory_is_refused(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.mkdir()
    os.chown(trap, pwd.getpwnam("nobody").pw_uid, -1)
    with pytest.raises(Invalid, match="belongs to uid"):
        paths.prepare(paths.Paths("foreground", tmp_path / "state", trap))


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(Invalid, match="cannot be used"):
        paths.prepare(paths.Paths("foreground", tmp_path / "state", tmp_path / "state/run"))
