"""The machine that the tests of this folder share, with jupyterd installed in it by ./install."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from system.machine import ACCOUNT, SOURCE, Machine, TooLateError
from system.service import Service

_ROOT = Path(__file__).parents[2]
_LEAVE_OUT = shutil.ignore_patterns(".git", ".venv", ".jupyterd", "*_cache", "__pycache__")
_PREFIX = "jupyterd-machine-"


@pytest.fixture(scope="session")
def wheels() -> Path:
    """Every distribution that the machine needs, so that it needs no network; made once for each constraints.txt."""
    pins = (_ROOT / "constraints.txt").read_bytes() + (_ROOT / "pyproject.toml").read_bytes() + sys.version.encode()
    made = _ROOT / ".jupyterd" / f"wheels-{hashlib.sha256(pins).hexdigest()[:12]}"
    if not made.exists():
        half = Path(tempfile.mkdtemp(dir=_ROOT / ".jupyterd"))
        argv = [sys.executable, "-I", "-m", "pip", "wheel", "--quiet", "--use-pep517", "--wheel-dir", str(half)]
        argv += [
            "--constraint",
            str(_ROOT / "constraints.txt"),
            str(_ROOT),
            "hatchling",
            "ipykernel",
            "pip",
            "setuptools",
        ]
        try:
            subprocess.run(argv, check=True, timeout=600)
        except BaseException:
            shutil.rmtree(half)
            raise
        for own in half.glob("jupyterd-*.whl"):
            own.unlink()
        half.chmod(0o755)
        half.rename(made)
    return made


@pytest.fixture(scope="session")
def machine(wheels: Path) -> Iterator[Machine]:
    """A booted machine with the project's source and one ordinary account; nothing is installed yet."""
    for need in ("systemd-nspawn", "nsenter", "unshare", "setpriv"):
        if shutil.which(need) is None:
            pytest.skip(f"{need} is missing: sudo apt install systemd-container util-linux")
    if os.geteuid() != 0:
        pytest.skip("only root can boot a machine: sudo ./check")
    _sweep()
    there = Machine(Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir="/var/tmp")), wheels)
    there.here.chmod(0o755)
    try:
        try:
            there.boot()
        except TooLateError as error:
            pytest.skip(f"systemd-nspawn cannot boot a machine here: {error}")
        shutil.copytree(_ROOT, f"/proc/{there.leader}/root{SOURCE}", ignore=_LEAVE_OUT, symlinks=True)
        there.run(f"getent passwd {ACCOUNT} || useradd --create-home --shell /bin/bash {ACCOUNT}")
        yield there
    finally:
        there.power_off()


@pytest.fixture(scope="session")
def installed(machine: Machine) -> Service:
    """The machine after `./install --yes --account alice`."""
    service = Service(machine)
    service.install()
    return service


@pytest.fixture
def service(installed: Service) -> Iterator[Service]:
    """The service as it was installed and running, whatever the test before did; its journal goes into the report."""
    installed.reset()
    since = installed.machine.run("date +@%s").strip()
    yield installed
    journal = f"journalctl --no-pager --since {since} --unit jupyterd.service | tail -n 60"
    sys.stdout.write(installed.machine.run(journal, check=False))


def _sweep() -> None:
    """Removes what tests left that were killed outright; their machines died with them."""
    for left in Path("/var/tmp").glob(f"{_PREFIX}*"):  # noqa: S108 - ours alone, by name and pid
        pid = left.name.removeprefix(_PREFIX).split("-")[0]
        if not Path("/proc", pid).exists():
            shutil.rmtree(left, ignore_errors=True)
