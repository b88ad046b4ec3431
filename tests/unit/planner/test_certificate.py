"""Which certificate is chosen, and that a broken one never takes the place of a good one."""

from __future__ import annotations

import os
import time
from pathlib import Path

import attrs
import pytest

from jupyterd.linux.files import ABSENT, stat_mark
from jupyterd.planner import certificate
from jupyterd.planner.addresses import Interfaces
from jupyterd.planner.certificate import Chosen
from jupyterd.settings.paths import Paths
from jupyterd.settings.problems import Origin
from jupyterd.settings.schema import ServerSettings, Settings, TlsSettings
from jupyterd.tls import authority, make

MACHINE = Interfaces(("192.168.1.7",), (("gpu.lan", ("192.168.1.7",)),), ipv6=False)
ORIGINS = {"tls.certificate": Origin("jupyterd.toml", 7)}


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths("service", tmp_path / "state", tmp_path / "run")


def choose(paths: Paths, settings: Settings | None = None, *, write: bool = True) -> Chosen:
    chosen = certificate.choose(settings or Settings(), ORIGINS, paths, MACHINE, write=write)
    if write:
        certificate.keep(chosen, paths)
    return chosen


def named(certificate: Path) -> Settings:
    return Settings(tls=TlsSettings(certificate=str(certificate)))


def pair(path: Path, name: str = "localhost") -> Path:
    make.self_signed(path, [name], [], time.time())
    return path


def test_nothing_there_makes_a_self_signed_one_and_serves_its_copy(paths: Paths) -> None:
    chosen = choose(paths)
    assert chosen.source == "self-signed"
    assert chosen.files is not None and chosen.pair is not None and chosen.certificate is not None
    assert chosen.certificate.file == str(paths.self_signed)
    assert (chosen.files.certificate, chosen.files.key) == (str(paths.served), str(paths.served))
    assert chosen.pair.pem in paths.served.read_bytes()
    assert chosen.files.renew_at == make.renew_at(chosen.pair)
    assert choose(paths) == chosen


def test_without_write_nothing_is_made(paths: Paths) -> None:
    assert choose(paths, write=False) == Chosen()
    assert not paths.state.exists()


def test_settings_before_installed_before_local_before_self_signed(paths: Paths, tmp_path: Path) -> None:
    mine = pair(tmp_path / "mine.pem")
    authority.found(paths.authority, "gpu", ["localhost"], [], time.time())
    pair(paths.installed)
    assert choose(paths, named(mine)).source == "settings"
    assert choose(paths).source == "installed"
    paths.installed.unlink()
    local = choose(paths)
    assert local.source == "local"
    assert local.pair is not None and "192.168.1.7" not in local.pair.names
    local = choose(paths, Settings(server=ServerSettings(ip=("*",))))
    assert local.pair is not None and "192.168.1.7" in local.pair.names
    assert local.files is not None and "BEGIN CERTIFICATE" in (local.files.authority or "")
    assert "PRIVATE" not in (local.files.authority or "")
    paths.authority.unlink()
    assert choose(paths).source == "self-signed"


@pytest.mark.parametrize("damage", [b"", b"half of a fi", None])
def test_the_last_good_one_stays(paths: Paths, tmp_path: Path, damage: bytes | None) -> None:
    for file, settings in ((tmp_path / "mine.pem", named(tmp_path / "mine.pem")), (paths.installed, Settings())):
        good = choose(paths, settings) if pair(file) else None
        assert good is not None and good.certificate is not None and not good.warnings
        if damage is None:
            file.chmod(0o644)
        else:
            file.write_bytes(damage)
        broken = choose(paths, settings)
        assert broken.certificate == good.certificate
        assert [each.code for each in broken.warnings] == ["certificate-broken"]
        assert not broken.problems and not broken.waiting
        assert broken.files is not None and good.files is not None
        assert broken.files.watched != good.files.watched
        pair(file)
        mended = choose(paths, settings)
        assert mended.certificate is not None and mended.certificate.sha256 != good.certificate.sha256
        assert not mended.warnings


def test_a_disk_that_is_late_keeps_nobody_waiting_who_has_a_copy(paths: Paths, tmp_path: Path) -> None:
    mine = pair(tmp_path / "mine.pem")
    assert choose(paths, named(tmp_path / "other.pem")).waiting
    good = choose(paths, named(mine))
    mine.unlink()
    assert choose(paths, named(mine)).certificate == good.certificate


def test_a_copy_of_another_file_does_not_stand_in(paths: Paths, tmp_path: Path) -> None:
    choose(paths, named(pair(tmp_path / "mine.pem")))
    (tmp_path / "other.pem").write_bytes(b"x")
    refused = choose(paths, named(tmp_path / "other.pem"))
    assert refused.pair is None
    assert refused.problems[0].startswith("jupyterd.toml:7: ")


def test_a_check_is_strict_whatever_copy_there_is(paths: Paths, tmp_path: Path) -> None:
    mine = pair(tmp_path / "mine.pem")
    choose(paths, named(mine))
    mine.write_bytes(b"x")
    assert choose(paths, named(mine), write=False).problems


def test_a_broken_installed_one_without_a_copy_gives_way(paths: Paths) -> None:
    paths.installed.parent.mkdir(parents=True)
    paths.installed.write_bytes(b"x")
    paths.installed.chmod(0o600)
    chosen = choose(paths)
    assert chosen.source == "self-signed"
    assert [each.code for each in chosen.warnings] == ["certificate-broken"]


def test_names_that_the_authority_may_not_sign_for_are_told(paths: Paths) -> None:
    authority.found(paths.authority, "gpu", ["localhost"], [], time.time())
    settings = Settings()
    settings = attrs.evolve(settings, server=attrs.evolve(settings.server, names=("gpu.example.org",)))
    chosen = choose(paths, settings)
    (warning,) = [each for each in chosen.warnings if "gpu.example.org" in each.text]
    assert (warning.code, "--new-authority" in warning.advice) == ("certificate-names", True)


def test_the_mark_of_a_file_changes_with_every_replacement(tmp_path: Path) -> None:
    file, seen = tmp_path / "x", {ABSENT}
    assert stat_mark(str(file)) == ABSENT
    for number in range(20):
        fresh = tmp_path / "new"
        fresh.write_text("as long each time")
        os.utime(fresh, ns=(1, 1))
        fresh.rename(file)
        seen.add(stat_mark(str(file)))
        assert len(seen) >= 2 + number // 2
