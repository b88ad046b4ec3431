"""What machines are made of: wheels, so that they need no network, and Debian 13 where this machine is something else.

Both are made once, under .jupyterd of the checkout and in /var/cache, and used again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
TRIXIE = Path("/var/cache/jupyterd-check/trixie-1")
"""The number changes with the list of packages."""
_PACKAGES = (
    "systemd,systemd-sysv,dbus,libpam-systemd,python3,python3-venv,ca-certificates,procps,curl,sudo,iproute2,passwd"
)
_BUILDERS = ("hatchling", "editables", "ipykernel", "pip", "setuptools")


@contextmanager
def _made_whole(target: Path) -> Iterator[Path]:
    """A directory that gets its name when all is in it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    half = Path(tempfile.mkdtemp(dir=target.parent))
    try:
        yield half
        half.chmod(0o755)
        with suppress(OSError):  # another run of the checks was faster
            half.rename(target)
        assert target.is_dir(), f"{target} cannot be made"
    finally:
        shutil.rmtree(half, ignore_errors=True)


def wheels(version: tuple[int, int] = sys.version_info[:2]) -> Path:
    """Every distribution that a machine with this Python needs; made once for each constraints.txt."""
    pins = (ROOT / "constraints.txt").read_bytes() + (ROOT / "pyproject.toml").read_bytes() + repr(_BUILDERS).encode()
    name = "{}.{}-{}".format(*version, hashlib.sha256(pins).hexdigest()[:12])
    target = ROOT / ".jupyterd" / f"wheels-{name}"
    if not target.exists():
        with _made_whole(target) as half:
            if version == sys.version_info[:2]:
                _pip("wheel", "--use-pep517", "--wheel-dir", str(half))
            else:
                _pip("download", "--dest", str(half), *_foreign(version), "--find-links", str(wheels()))
    return target


def _pip(verb: str, *more: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    argv = [sys.executable, "-I", "-m", "pip", verb, "--quiet", "--constraint", str(ROOT / "constraints.txt")]
    subprocess.run([*argv, *more, *project["dependencies"], *_BUILDERS], check=True, timeout=600)


def _foreign(version: tuple[int, int]) -> list[str]:
    digits, machine = "{}{}".format(*version), os.uname().machine
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in range(41, 16, -1)] + [f"manylinux2014_{machine}"]
    given = ["--only-binary=:all:", f"--python-version={digits}", "--implementation=cp"]
    given += [f"--abi={abi}" for abi in (f"cp{digits}", "abi3", "none")]
    return [*given, *(f"--platform={each}" for each in platforms)]


def trixie() -> Path:
    """A minimal Debian 13."""
    if not TRIXIE.exists():
        with _made_whole(TRIXIE) as half:
            argv = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "trixie", str(half)]
            subprocess.run(argv, check=True, timeout=900, stdout=subprocess.DEVNULL)
            shutil.rmtree(half / "var/cache/apt/archives", ignore_errors=True)
    return TRIXIE
