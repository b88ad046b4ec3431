"""What certbot is told: values in, argv, hook and units out."""

from __future__ import annotations

import argparse
import io
import shlex
from pathlib import Path

import pytest

from jupyterd.cli.cert import acme, new, verb
from jupyterd.cli.cert.acme import Certbot
from jupyterd.tls.authority import Authority

ROOTS = Certbot("/usr/bin/certbot", (), Path("/etc/letsencrypt"), packaged=True)
ASKED = ("acme", "--domain", "gpu.example.org", "--email", "a@example.org")


def parsed(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    verb.arguments(parser)
    return parser.parse_args(argv)


def test_what_is_asked_for() -> None:
    args = parsed(*ASKED, "--domain", "b.example.org", "--agree-tos", "--server", "https://acme.test/dir")
    told = shlex.join(acme.request(ROOTS, args, "the hook"))
    for part in (
        "certonly --standalone --http-01-port 80",
        "--cert-name jupyterd --domain gpu.example.org --domain b.example.org",
        "--email a@example.org",
        "--agree-tos --non-interactive",
        "--server https://acme.test/dir",
        "--deploy-hook 'the hook'",
    ):
        assert part in told


def test_nobody_agrees_for_the_person() -> None:
    told = acme.request(ROOTS, parsed(*ASKED), "the hook")
    assert not {"--agree-tos", "--non-interactive", "--server"} & set(told)


def test_a_web_server_that_has_port_80() -> None:
    told = acme.request(ROOTS, parsed(*ASKED, "--webroot", "/var/www/html"), "the hook")
    assert "--webroot-path" in told and "--standalone" not in told


def test_the_hook_installs_what_is_new_where_it_belongs() -> None:
    words = shlex.split(acme.hook(None, {}))
    assert words[1:] == ["cert", "install", "$RENEWED_LINEAGE/fullchain.pem", "$RENEWED_LINEAGE/privkey.pem"]
    assert words[0].endswith("/jupyterd")
    assert "--system" in shlex.split(acme.hook("system", {}))
    named = shlex.split(acme.hook("user", {"JUPYTERD_STATE_DIR": "/home/a b/state"}))
    assert named[:2] == ["env", "JUPYTERD_STATE_DIR=/home/a b/state"]


def test_without_a_terminal_the_terms_must_be_agreed_to(monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert acme.main(parsed(*ASKED)) == 2
    assert "--agree-tos" in capsys.readouterr().err


def test_the_unit_quotes_its_command() -> None:
    text = acme.service("/opt/certbot", ("--config-dir", '/home/a "b" %n $c'))
    assert 'ExecStart="/opt/certbot" "--quiet" "--config-dir" "/home/a \\"b\\" %%n $$c" "renew"' in text
    assert "Persistent=true" in acme.timer()


def test_how_to_trust_it_on_every_system() -> None:
    authority = Authority("PEM\n", "ab" * 32, 2e9, "jupyterd on gpu", b"")
    text = new.trust_page(authority, "https://gpu.lan:8888/jupyterd/ca.crt")
    for word in (
        "Debian", "Fedora", "macOS", "Windows", "Firefox", "iPhone", "Android", "AB:AB:AB", "PEM",
        "https://gpu.lan:8888/jupyterd/ca.crt",
    ):  # fmt: skip
        assert word in text
    assert new.link(("https://gpu.lan:8888/lab1/",)) == "https://gpu.lan:8888/lab1/jupyterd/ca.crt"
    assert new.link(("http://localhost:8888/",)) is None
