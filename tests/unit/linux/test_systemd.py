"""The grammar of unit files, and what systemd's own tools print."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from jupyterd.linux import systemd
from jupyterd.linux.systemd import Unit, escaped, mount_units, quoted


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/data", "data"),
        ("/mnt/my disk", r"mnt-my\x20disk"),
        ("/srv/a-b", r"srv-a\x2db"),
        ("/.hidden/.x", r"\x2ehidden-.x"),
        ("/daten/übung", r"daten-\xc3\xbcbung"),
    ],
)
def test_paths_are_escaped_as_systemd_escape_does(path: str, name: str) -> None:
    assert escaped(path) == name


def test_the_root_of_the_file_system_is_no_mount_to_wait_for() -> None:
    assert mount_units("/") == []


def test_quoting_keeps_spaces_and_specifiers() -> None:
    assert quoted('/a b/100%/"x"') == '"/a b/100%%/\\"x\\""'


def test_dollars_are_doubled_in_commands_only() -> None:
    assert quoted("$HOME") == '"$HOME"'
    assert quoted("$HOME", command=True) == '"$$HOME"'


@pytest.mark.parametrize("text", ["a\nExecStartPre=+evil", "a\rb", "\x1b[2J", "a\x00", "\u202e", "\udce4"])
def test_what_is_not_printable_is_no_word_of_a_unit_file(text: str) -> None:
    with pytest.raises(ValueError, match="unit file"):
        quoted(text)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_no_fault_with_quoted_words(tmp_path: Path) -> None:
    words = ("/a b", '"', "\\", "100%", "$HOME ${X}", "ü 日", "'", ";", "#")
    argv = " ".join(quoted(each, command=True) for each in ("/bin/echo", *words))
    unit = tmp_path / "x.service"
    unit.write_text(f"[Service]\nType=oneshot\nExecStart={argv}\n")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )
    assert "x.service" not in done.stderr


def test_properties() -> None:
    assert systemd.properties("A=1\nB=x=y\n\nnoise\n") == {"A": "1", "B": "x=y"}


JOBS = """  17 jupyterd.service              restart running
  18 other.service                 stop    waiting
"""


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("jupyterd.service", "restart"), ("other.service", "stop"), ("third.service", "unknown"), ("jupyterd", "unknown")],
)
def test_stop_or_restart(unit, expected):
    assert systemd.verdict(JOBS, unit) == expected
    assert systemd.verdict("", unit) == "unknown"
    assert systemd.verdict("No jobs running.\n", unit) == "unknown"


@pytest.mark.parametrize(
    ("cgroup", "expected"),
    [
        ("0::/system.slice/jupyterd.service\n", Unit("jupyterd.service", of_user=False)),
        ("12:pids:/x\n1:name=systemd:/system.slice/jupyterd.service\n", Unit("jupyterd.service", of_user=False)),
        (
            "0::/user.slice/user-7.slice/user@7.service/app.slice/jupyterd.service\n",
            Unit("jupyterd.service", of_user=True),
        ),
        ("0::/user.slice/user-7.slice/session-3.scope\n", None),
        ("0::/\n", None),
        ("0::/system.slice/docker-abc.scope\n", None),
        ("0::/user.slice/user-7.slice/user@7.service\n", None),
    ],
)
def test_which_unit_this_is(cgroup, expected):
    assert systemd.own_unit(cgroup) == expected
