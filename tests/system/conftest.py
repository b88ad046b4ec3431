"""The machines that the tests of this folder share, with jupyterd installed in them by ./install."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from system import bases
from system.machine import ACCOUNT, SOURCE, Machine, forget
from system.service import Service

_LEAVE_OUT = shutil.ignore_patterns(".git", ".venv", ".jupyterd", "*_cache", "__pycache__")
_PREFIX = "jupyterd-machine-"


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """A booted copy of this machine with the project's source and one ordinary account; nothing is installed yet."""
    with a_machine() as there:
        yield there


@contextmanager
def a_machine() -> Iterator[Machine]:
    """Another such copy, for a story that must not meet what other tests have installed."""
    _need_machines()
    with _booted(Path("/"), bases.wheels()) as there:
        yield there


@pytest.fixture(scope="session")
def installed(machine: Machine) -> Service:
    """The machine after `./install --yes --account alice`."""
    service = Service(machine)
    service.install()
    return service


@pytest.fixture
def service(installed: Service) -> Iterator[Service]:
    """The service as it was installed and running, whatever the test before did; its journal goes into the report."""
    yield from _fresh(installed)


@pytest.fixture(scope="session")
def installed_on_trixie() -> Iterator[Service]:
    """Debian 13, with systemd 257 and Python 3.13, after ./install."""
    _need_machines()
    if shutil.which("debootstrap") is None:
        pytest.skip("debootstrap is missing: sudo apt install debootstrap")
    with _booted(bases.trixie(), bases.wheels((3, 13))) as there:
        service = Service(there)
        service.install()
        yield service


@pytest.fixture
def on_trixie(installed_on_trixie: Service) -> Iterator[Service]:
    """The service on Debian 13."""
    yield from _fresh(installed_on_trixie)


@contextmanager
def _booted(lower: Path, wheels: Path) -> Iterator[Machine]:
    there = Machine(Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir="/var/tmp")), wheels, lower)
    there.here.chmod(0o755)
    try:
        there.boot()
        shutil.copytree(bases.ROOT, f"/proc/{there.leader}/root{SOURCE}", ignore=_LEAVE_OUT, symlinks=True)
        there.run(f"getent passwd {ACCOUNT} || useradd --create-home --shell /bin/bash {ACCOUNT}")
        yield there
    finally:
        there.power_off()


def _fresh(service: Service) -> Iterator[Service]:
    service.reset()
    since = service.machine.run("date +@%s").strip()
    yield service
    journal = f"journalctl --no-pager --since {since} --unit jupyterd.service | tail -n 60"
    sys.stdout.write(service.machine.run(journal, check=False))


def _need_machines() -> None:
    for need in ("systemd-nspawn", "nsenter", "unshare", "setpriv"):
        if shutil.which(need) is None:
            pytest.skip(f"{need} is missing: sudo apt install systemd-container util-linux")
    if os.geteuid() != 0:
        pytest.skip("only root can boot a machine: sudo ./check")
    _sweep()


def _sweep() -> None:
    """Removes what tests left that were killed outright; their machines died with them."""
    for left in Path("/var/tmp").glob(f"{_PREFIX}*"):  # noqa: S108 - ours alone, by name and pid
        pid = left.name.removeprefix(_PREFIX).split("-")[0]
        if not Path("/proc", pid).exists():
            forget(left)
