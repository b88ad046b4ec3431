"""Records on disk: private, whole, and never fatal."""

from __future__ import annotations

import json
import os
import stat

import pytest

from jupyterd.launch import registry
from jupyterd.launch.registry import Entry
from jupyterd.linux import files
from jupyterd.linux.proc import Identity

RECORD = Entry("k1", "python3", ("/bin/sleep", "$HOME"), "/", "/c.json", "signal", None, 5.0, (("MemoryMax", "1G"),))


def test_what_is_written_is_read_and_nobody_else_may(tmp_path):
    directory = tmp_path / "kernels"
    registry.write(directory, RECORD, {"A": "$b"})
    assert registry.read(directory, "k1") == RECORD
    assert registry.read_env(directory, "k1") == {"A": "$b"}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in directory.iterdir()} == {0o600}
    registry.remove(directory, "k1")
    assert list(directory.iterdir()) == []


def test_the_wrapper_completes_the_record_and_a_new_order_starts_without_it(tmp_path):
    registry.write(tmp_path, RECORD, {})
    (tmp_path / "k1.pid").write_text('{"pid": 7, "started": 8, "boot": "b"}')
    (tmp_path / "k1.why").write_text("somebody")
    assert registry.read(tmp_path, "k1").process == Identity(7, 8, "b")
    registry.write(tmp_path, RECORD, {})
    assert registry.read(tmp_path, "k1").process is None
    assert not (tmp_path / "k1.why").exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"format": 2}',
        '{"format": 1}',
        '{"format": 1, "id": "other"}',
        '{"format": 1, "id": "k1"}',
        "\udce4",
    ],
)
def test_what_is_no_record_is_set_aside(tmp_path, text):
    registry.write(tmp_path, RECORD, {})
    (tmp_path / "bad.json").write_bytes(text.encode(errors="surrogateescape"))
    found, problems = registry.read_all(tmp_path)
    assert found == [RECORD]
    assert len(problems) == 1
    assert (tmp_path / "bad.json.damaged").exists()
    assert registry.read_all(tmp_path) == ([RECORD], [])


def test_links_and_pipes_are_no_records(tmp_path):
    (tmp_path / "link.json").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe.json")
    found, problems = registry.read_all(tmp_path)
    assert (found, len(problems)) == ([], 2)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to make another account's file")
def test_a_foreign_record_is_set_aside(tmp_path):
    registry.write(tmp_path, RECORD, {})
    os.chown(tmp_path / "k1.json", 60002, -1)
    found, problems = registry.read_all(tmp_path)
    assert found == []
    assert "uid 60002" in problems[0]


def test_a_directory_of_somebody_else_is_refused(tmp_path):
    (tmp_path / "link").symlink_to("/usr")
    with pytest.raises(PermissionError, match="not a directory"):
        files.private_directory(tmp_path / "link")


def test_who_holds_the_lock(tmp_path):
    held = registry.hold_as_server(tmp_path)
    assert held is not None
    assert registry.server_runs(tmp_path)
    os.close(held)
    with registry.without_server(tmp_path) as alone:
        assert alone
        assert registry.hold_as_server(tmp_path) is None
    assert not registry.server_runs(tmp_path)


def test_a_record_keeps_its_format(tmp_path):
    registry.write(tmp_path, RECORD, {})
    document = json.loads((tmp_path / "k1.json").read_text())
    assert document == {
        "format": 1, "id": "k1", "name": "python3", "argv": ["/bin/sleep", "$HOME"], "cwd": "/",
        "connection_file": "/c.json", "interrupt_mode": "signal", "unit": None, "created": 5.0,
        "limits": [["MemoryMax", "1G"]], "open_files": 0, "process": None,
    }  # fmt: skip


def test_why_a_kernel_was_ended_is_known_even_without_words(tmp_path):
    assert registry.read_why(tmp_path, "one") == ""
    registry.write_why(tmp_path, "one", "stopped by alice")
    assert registry.read_why(tmp_path, "one") == "stopped by alice"
    os.truncate(tmp_path / "one.why", 0)  # as on a full disk
    assert registry.read_why(tmp_path, "one") == "ended on purpose"


def test_parts_without_a_record_are_swept(tmp_path):
    registry.write(tmp_path, RECORD, {})
    for name in ("k1.end", "k2.end", "k2.pid", "k2.env", "kernel-env.log", "server.lock"):
        (tmp_path / name).touch()
    registry.sweep(tmp_path)
    left = {each.name for each in tmp_path.iterdir()}
    assert left == {"k1.json", "k1.env", "k1.end", "kernel-env.log", "server.lock"}
