"""`jupyterd cert` beside a server that runs; what is replaced is served, what is broken is not, without a command."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.served import COMMAND, UID, Served, served
from support.waiting import eventually

from jupyterd.cli.cert.context import fingerprint
from jupyterd.tls import build, check, make

NOTICED_S = 30.0


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served("--no-lab") as here:
        assert here.link
        yield here


@pytest.fixture
def given() -> Iterator[Path]:
    """A directory of the ordinary account."""
    made = Path(tempfile.mkdtemp(prefix="jupyterd-given-"))
    if os.geteuid() == 0:
        os.chown(made, UID, UID)
    yield made
    shutil.rmtree(made)


def tls(server: Served) -> Path:
    return server.home / ".local/state/jupyterd/tls"


def new_pair(path: Path) -> check.Pair:
    """A pair in one file that the account owns, put there in one step."""
    fresh = path.with_suffix(".fresh")
    fresh.write_bytes(build.pem(["localhost", "127.0.0.1"], time.time(), 90))
    fresh.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(path.parent, UID, UID)
        os.chown(fresh, UID, UID)
    found = check.check(fresh, None, time.time())  # root may read what is the account's
    assert isinstance(found, check.Pair), found
    fresh.rename(path)
    return found


def shown(server: Served) -> str:
    return fingerprint("127.0.0.1", server.port)


def codes(server: Served) -> list[str]:
    return [each["code"] for each in server.status()["items"]]


def test_installed_and_served_by_the_same_server(server: Served, given: Path) -> None:
    before = server.status()["server"]["pid"]
    wanted = new_pair(given / "pair.pem")
    done = server.verb("cert", "install", str(given / "pair.pem"))
    assert done.returncode == 0, done.stderr
    assert f"https://localhost:{server.port}/ now serves it" in done.stdout
    assert shown(server) == wanted.sha256
    assert server.status()["server"]["pid"] == before
    assert (tls(server) / "installed.pem").stat().st_mode & 0o777 == 0o600
    assert server.verb("cert", "install", str(given / "pair.pem")).returncode == 0


def test_refused_changes_nothing(server: Served, given: Path) -> None:
    before = shown(server)
    (given / "key.pem").write_bytes(b"hello")
    done = server.verb("cert", "install", str(given / "key.pem"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "not a PEM file" in done.stderr
    assert shown(server) == before


def test_a_replaced_pair_is_served_without_a_command_and_a_broken_one_is_not(server: Served) -> None:
    wanted = new_pair(tls(server) / "installed.pem")
    eventually(lambda: shown(server) == wanted.sha256, "the replaced pair", NOTICED_S)
    broken = tls(server) / "installed.fresh"
    broken.write_bytes(wanted.pem[:300])
    if os.geteuid() == 0:
        os.chown(broken, UID, UID)
    broken.chmod(0o600)
    broken.rename(tls(server) / "installed.pem")
    eventually(lambda: "certificate-broken" in codes(server), "the health item", NOTICED_S)
    assert shown(server) == wanted.sha256

    first = server.status()["server"]["pid"]
    os.kill(first, signal.SIGKILL)  # the next one has only the copy
    eventually(lambda: (server.status()["server"] or {"pid": first})["pid"] != first, "the next server", NOTICED_S)
    eventually(lambda: server.status()["state"] == "serving", "its certificate", NOTICED_S)
    assert shown(server) == wanted.sha256

    repaired = new_pair(tls(server) / "installed.pem")
    eventually(lambda: shown(server) == repaired.sha256, "the repaired pair", NOTICED_S)
    eventually(lambda: "certificate-broken" not in codes(server), "the end of the item", NOTICED_S)


def test_an_authority_that_is_trusted_once(server: Served) -> None:
    assert server.verb("cert", "new").returncode == 1  # an installed one goes before it
    assert server.verb("cert", "remove").returncode == 0
    made = server.verb("cert", "new")
    assert made.returncode == 0, made.stderr
    file = server.verb("cert", "show", "--authority").stdout
    trusting = ssl.create_default_context(cadata=file)
    for name in ("localhost", "127.0.0.1"):
        asked = http.client.HTTPSConnection(name, server.port, timeout=20, context=trusting)
        asked.request("GET", "/jupyterd/ca.crt")
        assert asked.getresponse().read().decode() == file
        asked.close()
    again = server.verb("cert", "new")
    assert file in again.stdout  # the same one
    (tls(server) / "local.pem").unlink()
    before = shown(server)
    eventually(lambda: shown(server) != before, "another one of the same authority", NOTICED_S)
    asked = http.client.HTTPSConnection("localhost", server.port, timeout=20, context=trusting)
    asked.request("GET", "/api")
    assert asked.getresponse().status == 200
    asked.close()


def test_show_says_what_is_served(server: Served) -> None:
    told: dict[str, Any] = json.loads(server.verb("cert", "show", "--json").stdout)
    assert told["ok"] and told["shown_sha256"] == told["served"]["sha256"] == shown(server)
    page = server.verb("cert", "show")
    assert page.returncode == 0
    assert "checked just now" in page.stdout
    assert max(map(len, page.stdout.splitlines())) <= 110


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another account")
def test_root_reads_what_the_account_cannot_and_leaves_it_the_account(server: Served, tmp_path: Path) -> None:
    make.self_signed(tmp_path / "roots" / "pair.pem", ["localhost"], [], time.time())
    environ = {"PATH": "/usr/bin:/bin", "HOME": "/root", "JUPYTERD_STATE_DIR": str(tls(server).parent)}
    argv = [*COMMAND, "cert", "install", str(tmp_path / "roots" / "pair.pem")]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    status = (tls(server) / "installed.pem").stat()
    assert (status.st_uid, status.st_mode & 0o777) == (UID, 0o600)
    assert server.verb("cert", "remove").returncode == 0


def test_a_link_in_its_place_is_not_followed(server: Served, given: Path) -> None:
    victim = given / "victim"
    victim.write_text("untouched")
    (tls(server) / "installed.pem").symlink_to(victim)
    try:
        new_pair(given / "pair.pem")
        server.verb("cert", "install", str(given / "pair.pem"))
        assert victim.read_text() == "untouched"
    finally:
        (tls(server) / "installed.pem").unlink(missing_ok=True)


def test_nothing_runs_and_it_is_kept_for_the_next_start() -> None:
    home = Path(tempfile.mkdtemp(prefix="jupyterd-given-"))
    new_pair(home / "pair.pem")
    try:
        other = {"user": UID, "group": UID, "extra_groups": []} if os.geteuid() == 0 else {}
        for argv, words in (
            (("install", str(home / "pair.pem")), "the next start will use it"),
            (("show",), "no server runs"),
            (("remove",), "Removed"),
            (("new",), "the next start will use a certificate from this authority"),
        ):
            done = subprocess.run(
                [*COMMAND, "cert", *argv], env={"HOME": str(home), "PATH": "/usr/bin:/bin"}, timeout=60,
                capture_output=True, text=True, check=False, **other,
            )  # fmt: skip
            assert words in done.stdout, done.stdout + done.stderr
    finally:
        shutil.rmtree(home)
