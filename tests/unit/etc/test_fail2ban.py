"""The filter that is shipped, asked by fail2ban itself about lines as the journal's reader hands them over."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
FILTER = ROOT / "etc/fail2ban/filter.d/jupyterd.conf"
STAMP = "2026-11-22T20:15:30.123456"


def matches(line: str, tmp_path: Path) -> str:
    """The address that it finds, or ""."""
    program = shutil.which("fail2ban-regex")
    if program is None:
        pytest.skip("fail2ban-regex is missing: sudo apt install fail2ban")
    there = tmp_path / "filter.d"
    there.mkdir(exist_ok=True)
    shutil.copy(FILTER, there)
    common = Path("/etc/fail2ban/filter.d/common.conf")
    shutil.copy(common, there)
    done = subprocess.run(
        [program, "--config", str(tmp_path), "-o", "<ip>", f"{STAMP} {line}", str(there / FILTER.name)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("gpu jupyterd-server[812]: login failed from 203.0.113.7 (password)", "203.0.113.7"),
        ("gpu jupyterd-server[812]: login failed from 2001:db8::7 (token)", "2001:db8::7"),
        ("gpu jupyterd-server[812]: 403 GET /login failed from 203.0.113.7 (password) (@192.0.2.1) 1ms", ""),
        ("gpu jupyterd-server[812]: Kernel said: login failed from 203.0.113.7 (password)", ""),
        ("gpu sshd[812]: login failed from 203.0.113.7 (password)", ""),
        ("gpu jupyterd-server[812]: login failed from 203.0.113.7 (password) and more", ""),
    ],
)
def test_failed_logins_and_nothing_else_are_found(line: str, address: str, tmp_path: Path) -> None:
    assert matches(line, tmp_path) == address


def test_the_jail_names_the_filter() -> None:
    jail = configparser.ConfigParser()
    jail.read(ROOT / "etc/fail2ban/jail.d/jupyterd.conf")
    assert jail["jupyterd"]["filter"] == FILTER.stem
    assert jail["jupyterd"]["backend"] == "systemd"
