"""The texts and the placing of files that ./install does outside /opt."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from jupyterd.cli.setup.unit_files import Service, drop_in, point, put


def service(**changed: object) -> Service:
    given = {
        "account": "alice",
        "uid": 1000,
        "home": "/home/alice",
        "port": 8888,
        "paths": (),
        "writable": (),
    } | changed
    return Service(**given)  # type: ignore[arg-type]


def test_the_drop_in_names_the_account_its_manager_and_its_home() -> None:
    lines = drop_in(service()).splitlines()
    assert "User=alice" in lines
    assert "Wants=user@1000.service" in lines
    assert "After=user@1000.service" in lines
    assert 'RequiresMountsFor="/home/alice"' in lines
    assert "Environment=XDG_RUNTIME_DIR=/run/user/1000" in lines
    assert not any(line.startswith("AmbientCapabilities=") for line in lines)


def test_disks_outside_the_home_come_first_but_are_not_required() -> None:
    lines = drop_in(service(paths=("/home/alice/work", "/data/nb", "/data/tls/pair.pem"))).splitlines()
    units = "data.mount data-nb.mount data-tls.mount data-tls-pair.pem.mount"
    assert f"Wants={units}" in lines
    assert f"After={units}" in lines


def test_a_port_below_1024_needs_its_capability() -> None:
    lines = drop_in(service(port=443)).splitlines()
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in lines
    assert "CapabilityBoundingSet=CAP_NET_BIND_SERVICE" in lines


def test_the_sandbox_opens_what_the_server_writes_and_does_not_mind_its_absence() -> None:
    lines = drop_in(service(writable=("/home/alice/my work", "/data", "/data"))).splitlines()
    assert [line for line in lines if line.startswith("ReadWritePaths")] == [
        'ReadWritePaths="-/home/alice/my work"',
        'ReadWritePaths="-/data"',
    ]
    assert "PrivateTmp=no" not in lines


@pytest.mark.parametrize("place", ["account", "home", "writable"])
def test_what_could_be_another_directive_is_refused_wherever_it_comes_from(place: str) -> None:
    chance = random.Random(7)
    for evil in "\n\r\t\x0b\x0c\x1b\x00\x7f\x85\xa0\u2028\u202e\udc80" * 20:
        word = "".join(chance.choices("ab %$\"'\\;#=-:ä", k=9))
        at = chance.randrange(len(word) + 1)
        name = f"/srv/{word[:at]}{evil}{word[at:]}x"
        with pytest.raises(ValueError, match="unit file"):
            drop_in(service(**{place: (name,) if place == "writable" else name}))


def test_the_home_of_root_is_opened_in_spite_of_protect_home() -> None:
    assert "ProtectHome=no" in drop_in(service(account="root", uid=0, home="/root", writable=("/root",))).splitlines()
    assert "ProtectHome=no" not in drop_in(service(writable=("/home/alice", "/root/x"))).splitlines()


def test_a_root_directory_in_tmp_is_the_real_one() -> None:
    assert "PrivateTmp=no" in drop_in(service(writable=("/var/tmp/notebooks",))).splitlines()  # noqa: S108


@pytest.mark.skipif(os.geteuid() != 0, reason="owner root is given by root only")
def test_a_file_is_replaced_whole_and_only_when_it_differs(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "jupyterd.toml"
    assert put(path, "one\n", mode=0o640)
    assert not put(path, "one\n", mode=0o640)
    assert put(path, "two\n", mode=0o640)
    assert path.read_text() == "two\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(path.parent) == ["jupyterd.toml"]  # noqa: PTH208 - names, nothing hidden beside it


def test_a_link_moves_and_never_replaces_what_is_not_a_link(tmp_path: Path) -> None:
    link = tmp_path / "bin" / "jupyterd"
    assert point(link, Path("/opt/one"))
    assert not point(link, Path("/opt/one"))
    assert point(link, Path("/opt/two"))
    assert link.readlink() == Path("/opt/two")
    link.unlink()
    link.write_text("somebody's own\n")
    with pytest.raises(FileExistsError, match="was not made by jupyterd"):
        point(link, Path("/opt/two"))
