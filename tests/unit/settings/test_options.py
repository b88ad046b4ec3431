"""The command line: every setting that is no secret has an option, and old ones are answered."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from jupyterd.settings import load, options, table
from jupyterd.settings.problems import Invalid


def parsed(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    options.add(parser)
    return parser.parse_args(argv)


def refused(*argv: str) -> list[str]:
    with pytest.raises(Invalid) as caught:
        load.load(load.sources("foreground", Path("/dev/null/x"), {}, options.overrides(parsed(*argv))))
    return [str(each) for each in caught.value.problems if not str(each).startswith("/dev/null")]


def test_nothing_typed_is_nothing_overridden() -> None:
    assert options.overrides(parsed()) == {}
    assert parsed().config is None


def test_the_usual_options() -> None:
    args = parsed(
        "-c", "x.toml", "--ip", "10.0.0.1", "--ip", "::1,localhost", "--port", "9999", "--root-dir", ".",
        "--allow-root",
        "--no-lab", "--base-url=/x/", "--hidden-files", "--certificate", "c", "--key", "k", "--no-tls",
        "--gpu-log-every", "5", "--no-gpu", "--hang-after", "7",
    )  # fmt: skip
    assert args.config == Path("x.toml")
    assert options.overrides(args) == {
        "server.ip": "10.0.0.1,::1,localhost", "server.port": "9999", "server.root_dir": ".", "server.allow_root": True,
        "server.lab": False, "server.base_url": "/x/", "server.hidden_files": True, "tls.certificate": "c",
        "tls.key": "k",
        "tls.enabled": False, "gpu.log_every_s": "5", "gpu.enabled": False, "supervision.hang_after_s": "7",
    }  # fmt: skip


def test_jupyters_short_ones_are_understood_and_not_shown() -> None:
    args = parsed("--certfile", "c", "--keyfile", "k", "--notebook-dir", "/n", "--no-browser")
    assert options.overrides(args) == {"tls.certificate": "c", "tls.key": "k", "server.root_dir": "/n"}
    parser = argparse.ArgumentParser()
    options.add(parser)
    shown = parser.format_help()
    assert not any(
        word in shown
        for word in ("certfile", "keyfile", "notebook-dir", "--no-browser", "NotebookApp", "--token", "--password")
    )


def test_every_setting_that_is_no_secret_is_in_the_help() -> None:
    parser = argparse.ArgumentParser()
    options.add(parser)
    shown = parser.format_help()
    for row in table.SETTINGS.values():
        assert (f"{row.flag} " in shown or f"{row.flag}," in shown) is not row.secret, row.flag


@pytest.mark.parametrize(
    ("argv", "lines"),
    [
        (["--port", "x"], ['--port: server.port is "x"; allowed is a whole number from 1 to 65535']),
        (["--port", "0"], ["--port: server.port is 0; allowed is a whole number from 1 to 65535"]),
        (["--hang-after", "1h"], [
            '--hang-after: supervision.hang_after_s is "1h"; allowed is a number from 1 to 3600 (seconds)']),
        (["--NotebookApp.port=1"], ["--NotebookApp.port: is not an option of jupyterd; type --port"]),
        (["--ServerApp.open_browser", "False"], [
            ("--ServerApp.open_browser: is not an option of jupyterd; "
            "it is not needed: a daemon opens no browser; delete the line")]),
        (["--token=hunter2"], ["--token: a secret must not be typed where `ps` shows it; set login.token in a file"]),
        (["--password", "hunter2"], [
            "--password-hash: a secret must not be typed where `ps` shows it; set login.password_hash in a file"]),
        (["--ServerApp.token", "hunter2"], [
            "--ServerApp.token: a secret must not be typed where `ps` shows it; set login.token in a file"]),
        (["--port", "x", "--log-level", "loud"], [
            '--port: server.port is "x"; allowed is a whole number from 1 to 65535',
            '--log-level: server.log_level is "loud"; allowed is one of "DEBUG", "INFO", "WARNING", "ERROR"']),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_by_the_loader_all_at_once(argv: list[str], lines: list[str]) -> None:
    assert refused(*argv) == lines


def test_the_short_help_fits_a_screen_and_the_long_one_has_the_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    short, long = argparse.ArgumentParser("jupyterd run"), argparse.ArgumentParser("jupyterd run")
    options.add(short, everything=False)
    options.add(long)
    assert len(short.format_help().splitlines()) <= 24
    assert "--port NUMBER" in short.format_help() and "--help-all" in short.format_help()
    for option in ("--gpu-cull-memory-gib GIB", "--kernels-spool-max-bytes BYTES", "--probe-every SECONDS"):
        assert option in long.format_help() and option not in short.format_help()
