"""What is no settings file: told at once, and never waited for."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from jupyterd.settings import load
from jupyterd.settings.problems import Invalid


def problems(path: Path) -> list[str]:
    try:
        load.load(load.sources("foreground", path, {}, {}))
    except Invalid as invalid:
        return [str(each) for each in invalid.problems]
    return []


@pytest.mark.timeout(5)
def test_what_is_no_regular_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    assert problems(tmp_path) == [f"{tmp_path}: is a directory; a regular file is wanted"]
    assert problems(fifo) == [f"{fifo}: is a FIFO; a regular file is wanted"]
    assert problems(Path("/dev/null")) == ["/dev/null: is a device; a regular file is wanted"]
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(tmp_path)  # a socket path is short
        listener.bind("s")
    assert problems(tmp_path / "s") == [f"{tmp_path}/s: is a socket; a regular file is wanted"]


def test_links_are_followed_and_dangling_ones_named(tmp_path: Path) -> None:
    file, good, bad, loop = (tmp_path / name for name in ("file", "good", "bad", "loop"))
    file.write_text("[server]\nport = 1")
    good.symlink_to(file)
    bad.symlink_to("/nowhere")
    loop.symlink_to(loop)
    assert problems(good) == []
    assert problems(bad)[0].startswith(f"{bad}: is a link to /nowhere, which does not exist; ")
    assert problems(loop) == [f"{loop}: cannot be opened (too many levels of symbolic links); a regular file is wanted"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"[server]\n# caf\xe9\n", "2: is not UTF-8 (byte 0xe9); save it as UTF-8, or type: iconv -f LATIN1 -t UTF-8"),
        (b"\xef\xbb\xbf\n\n\xe9", "3: is not UTF-8 (byte 0xe9); save it as UTF-8, or type: iconv -f LATIN1 -t UTF-8"),
        (
            "[server]".encode("utf-16"),
            "1: is not UTF-8 (byte 0xff); save it as UTF-8, or type: iconv -f UTF-16 -t UTF-8",
        ),
        (b"\xef\xbb", "1: is not UTF-8 (byte 0xef); save it as UTF-8, or type: iconv -f LATIN1 -t UTF-8"),
    ],
)
def test_other_encodings_are_named_with_their_line(data: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)
    assert problems(path) == [f"{path}:{said} {path} > new.toml"]


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert problems(path) == [f"{path}: is larger than 1 MiB; no settings file is"]


def test_deep_nesting_is_a_problem_and_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("a = " + "[" * 100_000)
    assert problems(path) == [f"{path}: is nested too deeply; settings are sections with keys in them"]
    path.write_text("a = " + "[" * 300 + "]" * 300)
    assert len(problems(path)) == 1


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("jupyter_notebook_config.py", "c.NotebookApp.port = 1\nc.X.y = None", "Python"),
        ("config", "c = get_config()  #noqa\n", "Python"),
        ("jupyter_server_config.json", '{"ServerApp": {}}', "JSON"),
        ("x.toml", '{\n "ServerApp": {}}', "JSON"),
    ],
)
def test_a_configuration_of_jupyter_is_recognised(name: str, text: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert problems(path) == [
        (
            f"{path}: is not a settings file of jupyterd; it is {kind}, as Jupyter's own configuration "
            f"is: put its directory "
            "into server.jupyter_config_dir, or see what a file of jupyterd looks like: jupyterd config sample"
        )
    ]


def test_a_dropin_directory_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "jupyterd").mkdir()
    place = tmp_path / "jupyterd/jupyterd.toml.d"
    place.write_text("")
    with pytest.raises(Invalid) as caught:
        load.load(load.sources("foreground", None, {"XDG_CONFIG_HOME": str(tmp_path)}, {}))
    assert str(caught.value) == f"{place}: is a file; a directory of *.toml files is wanted"
