"""Every damage of the certificates and of the authority: a server has one to serve, and ours are made again."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support import damage

from jupyterd.planner import certificate
from jupyterd.planner.addresses import Interfaces
from jupyterd.planner.certificate import Chosen
from jupyterd.settings.paths import Paths
from jupyterd.settings.schema import Settings
from jupyterd.tls import authority, check, make
from jupyterd.tls.check import Pair

MACHINE = Interfaces((), (), ipv6=False)
HEAD, PAGE = 6, 512
"""Bytes of which each bit is flipped (a check of a pair takes milliseconds), and the size of a zeroed page."""


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths("service", tmp_path / "state", tmp_path / "run")


def choose(paths: Paths) -> Chosen:
    """As the planner does at a start; whatever is chosen can be served."""
    chosen = certificate.choose(Settings(), {}, paths, MACHINE, write=True)
    certificate.keep(chosen, paths)
    assert chosen.pair is not None and chosen.files is not None, chosen
    assert isinstance(check.check(paths.served, None, time.time()), Pair)
    return chosen


def every(good: bytes) -> Iterator[damage.Damage]:
    yield from damage.written(damage.contents(good, HEAD, PAGE))
    yield from damage.others()


def spoiled(path: Path, spoil: Callable[[Path], None]) -> bool:
    """Whether something is there now."""
    damage.remove(path)
    spoil(path)
    return os.path.lexists(path)


def test_our_own_is_made_again_and_what_was_there_is_set_aside(paths: Paths) -> None:
    first = choose(paths)
    good = paths.self_signed.read_bytes()
    for name, spoil in every(good):
        spoiled(paths.self_signed, spoil)
        chosen = choose(paths)
        assert (chosen.source, chosen.problems, chosen.waiting) == ("self-signed", (), ()), name
        assert isinstance(check.check(paths.self_signed, None, time.time()), Pair), name
        assert choose(paths).files == chosen.files, f"{name}: it is made once"
    assert first.pair is not None


def test_the_copy_that_is_served_is_written_again(paths: Paths) -> None:
    first = choose(paths)
    good = paths.served.read_bytes()
    for name, spoil in every(good):
        spoiled(paths.served, spoil)
        assert choose(paths).files == first.files, name
        assert paths.served.read_bytes() == good, name


def test_an_installed_one_gives_way_or_its_last_copy_serves(paths: Paths) -> None:
    paths.installed.parent.mkdir(parents=True)
    make.self_signed(paths.installed, ["localhost"], [], time.time())
    good = paths.installed.read_bytes()
    before = choose(paths)
    assert before.source == "installed"
    for name, spoil in every(good):
        there = spoiled(paths.installed, spoil)
        chosen = choose(paths)
        same = chosen.pair is not None and before.pair is not None and chosen.pair.sha256 == before.pair.sha256
        assert not there or same or chosen.warnings, f"{name}: {chosen.warnings}"
        assert not chosen.problems, name
        assert os.path.lexists(paths.installed) is there, f"{name}: it is somebody's, and stays"
        damage.remove(paths.installed)
        paths.installed.write_bytes(good)
        paths.installed.chmod(0o600)
        assert choose(paths).source == "installed", name


def test_a_damaged_authority_is_told_and_left_alone_and_a_self_signed_one_serves(paths: Paths) -> None:
    paths.authority.parent.mkdir(parents=True)
    authority.found(paths.authority, "gpu", ["localhost"], [], time.time())
    good, signer = paths.authority.read_bytes(), authority.read(paths.authority)
    assert isinstance(signer, authority.Authority)
    assert choose(paths).source == "local"
    for name, spoil in every(good):
        there = spoiled(paths.authority, spoil)
        chosen = choose(paths)
        if chosen.source == "local":
            again = authority.read(paths.authority)
            assert isinstance(again, authority.Authority) and again.certificate == signer.certificate, name
            continue
        assert chosen.source == "self-signed", name
        codes = [each.code for each in chosen.warnings]
        assert not there or "certificate-authority" in codes, f"{name}: {codes}"
        assert os.path.lexists(paths.authority) is there, f"{name}: devices trust it, and nothing else may replace it"


def test_a_certificate_of_our_authority_is_made_again(paths: Paths) -> None:
    paths.authority.parent.mkdir(parents=True)
    authority.found(paths.authority, "gpu", ["localhost"], [], time.time())
    choose(paths)
    for name, spoil in every(paths.local_leaf.read_bytes()):
        spoiled(paths.local_leaf, spoil)
        chosen = choose(paths)
        assert (chosen.source, chosen.problems) == ("local", ()), name
        signer = authority.read(paths.authority)
        assert isinstance(signer, authority.Authority)
        assert authority.has_signed(str(paths.local_leaf), signer, time.time()), name


@contextmanager
def unreadable(path: Path) -> Iterator[None]:
    """A file whose disk is broken: reading and writing give EIO, as /proc/PID/mem does at address 0."""
    subprocess.run(["mount", "--bind", f"/proc/{os.getpid()}/mem", str(path)], check=True)
    try:
        with pytest.raises(OSError, match="Input/output error"):
            path.read_bytes()
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.mark.skipif(os.getuid() != 0, reason="only root mounts")
@pytest.mark.parametrize("which", ["installed", "authority"])  # what is ours is replaced, and a mount point is not
def test_a_broken_disk_below_one_of_them_keeps_no_server_away(paths: Paths, which: str) -> None:
    paths.authority.parent.mkdir(parents=True)
    if which == "authority":
        authority.found(paths.authority, "gpu", ["localhost"], [], time.time())
    if which == "installed":
        make.self_signed(paths.installed, ["localhost"], [], time.time())
    before = choose(paths)
    path = getattr(paths, which)
    with unreadable(path):
        chosen = certificate.choose(Settings(), {}, paths, MACHINE, write=True)
        told = (*chosen.warnings, *chosen.waiting)
        assert told and str(path) in " ".join(each.text for each in told), chosen
    assert choose(paths).source == before.source
