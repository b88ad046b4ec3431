"""The grammar of unit files. What systemd itself reads back is in tests/system/test_unit_file.py."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from jupyterd.linux import unit_file
from jupyterd.linux.unit_file import escaped, mount_units, quoted

NOT_PRINTABLE = ("a\nExecStartPre=+evil", "a\rb", "\x1b[2J", "a\x00", "\t", "\u202e", "\u2028", "\xa0", "\udce4")


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
    assert unit_file.words("A", "$HOME") == 'A="$HOME"'
    assert unit_file.command("ExecStart", ["/x", "$HOME"]) == 'ExecStart="/x" "$$HOME"'
    assert unit_file.transient(["A=$x"], "$y", ["$HOME"]) == ["--property=A=$x", "--description=$y", "--", "$$HOME"]


@pytest.mark.parametrize("text", NOT_PRINTABLE)
def test_what_is_not_printable_reaches_no_unit_file(text: str) -> None:
    for write in (
        lambda: quoted(text),
        lambda: unit_file.plain("User", f"a{text}b"),
        lambda: unit_file.words("ReadWritePaths", "/good", text),
        lambda: unit_file.command("ExecStart", ["/x", text]),
        lambda: unit_file.transient([f"A={text}"], "", []),
        lambda: unit_file.transient([], text, []),
        lambda: unit_file.text(["[Service]", f"A={text}"]),
    ):
        with pytest.raises(ValueError, match="unit file"):
            write()


@pytest.mark.parametrize("text", ["", " a", "a ", "a\\"])
def test_what_takes_the_rest_of_a_line_is_neither_empty_nor_continued(text: str) -> None:
    with pytest.raises(ValueError, match="after User="):
        unit_file.plain("User", text)


@pytest.mark.parametrize("name", ["alice", "100%", r"DOMAIN\alice", "a b", "%%u"])
def test_a_plain_value_is_read_back(name: str) -> None:
    content = unit_file.text(["[Service]", "Users=no", unit_file.plain("User", name), "User=later"])
    assert unit_file.read_plain(content, "User") == name
    assert unit_file.read_plain(content, "Group") is None


def test_another_program_in_a_template_of_ours() -> None:
    template = "# /bin/x\n[Service]\nExecStart=/bin/x run\nExecReload=/bin/x reload\n"
    assert unit_file.with_program(template, "/bin/x", "/my $x/100%") == (
        '# /bin/x\n[Service]\nExecStart="/my $$x/100%%" run\nExecReload="/my $$x/100%%" reload\n'
    )


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_no_fault_with_quoted_words(tmp_path: Path) -> None:
    words = ("/a b", '"', "\\", "100%", "$HOME ${X}", "ü 日", "'", ";", "#")
    unit = tmp_path / "x.service"
    unit.write_text(
        unit_file.text(["[Service]", "Type=oneshot", unit_file.command("ExecStart", ["/bin/echo", *words])])
    )
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )
    assert "x.service" not in done.stderr
