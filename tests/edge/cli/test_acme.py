"""Issue, serve, renew: certbot against an ACME server of its own on loopback, as an ordinary account."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from support import authority
from support.served import COMMAND, Served, free_port, served
from support.waiting import eventually

DOMAIN = "gpu.test"
WAIT_S = 20.0


@dataclass
class Acme:
    directory: str
    ca: Path
    challenge_port: int


def _ready(port: int) -> None:
    def listens() -> bool:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True

    eventually(listens, f"somebody listens on {port}")


@pytest.fixture
def acme(public_path: Path) -> Iterator[Acme]:
    """Pebble and its name server: every name is 127.0.0.1, every challenge comes to one port of ours."""
    for program in ("pebble", "pebble-challtestsrv", "certbot"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing: sudo apt install pebble certbot")
    here = public_path
    now = dt.datetime.now(dt.UTC)
    root = authority.make("a root of these tests", ca=True, now=now)
    own = authority.make("localhost", issuer=root, names=("localhost", "127.0.0.1"), now=now)
    (here / "root.pem").write_bytes(root.pem)
    (here / "cert.pem").write_bytes(own.pem)
    (here / "key.pem").write_bytes(own.key_pem(serialization.PrivateFormat.TraditionalOpenSSL))
    assert isinstance(own.key, ec.EllipticCurvePrivateKey)
    api, management, challenge, names, names_management = (free_port() for _ in range(5))
    config = {
        "listenAddress": f"127.0.0.1:{api}", "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(here / "cert.pem"), "privateKey": str(here / "key.pem"),
        "httpPort": challenge, "tlsPort": free_port(), "ocspResponderURL": "", "externalAccountBindingRequired": False,
    }  # fmt: skip
    (here / "pebble.json").write_text(json.dumps({"pebble": config}))
    environ = {"PATH": "/usr/bin:/bin", "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
    off = ("-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "")
    where = ("-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", f"127.0.0.1:{names}")
    commands: list[list[str]] = [
        ["pebble-challtestsrv", *where, "-management", f"127.0.0.1:{names_management}", *off[:6]],
        ["pebble", "-config", str(here / "pebble.json"), "-dnsserver", f"127.0.0.1:{names}"],
    ]
    with (here / "log").open("wb") as log:
        running = [subprocess.Popen(argv, env=environ, stdout=log, stderr=log, cwd=here) for argv in commands]
        try:
            _ready(names_management)
            _ready(api)
            yield Acme(f"https://localhost:{api}/dir", here / "root.pem", challenge)
        finally:
            for each in running:
                each.terminate()
                each.wait(10)


def _as_account(server: Served, argv: list[str], ca: Path) -> subprocess.CompletedProcess[str]:
    more: dict[str, Any] = server.account()
    more["env"] |= {"REQUESTS_CA_BUNDLE": str(ca)}
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, **more)


def test_issued_served_and_renewed_by_the_same_server(acme: Acme) -> None:
    with served("--no-lab") as server:
        assert server.link
        before = server.status()
        argv = [
            *COMMAND, "cert", "acme", "--domain", DOMAIN, "--email", "a@gpu.test", "--agree-tos",
            "--server", acme.directory, "--http-port", str(acme.challenge_port),
        ]  # fmt: skip
        done = _as_account(server, argv, acme.ca)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "now serves it" in done.stdout
        issued = server.status()
        assert issued["certificate"]["source"] == "installed"
        assert issued["certificate"]["names"] == [DOMAIN]
        assert issued["certificate"]["sha256"] != before["certificate"]["sha256"]

        state = server.home / ".local/state/jupyterd"
        where = [f"--{name}-dir={state / 'acme' / place}" for name, place in
                 (("config", "config"), ("work", "work"), ("logs", "logs"))]  # fmt: skip
        renew = ["certbot", "renew", "--force-renewal", "--no-random-sleep-on-renew", *where]
        done = _as_account(server, renew, acme.ca)
        assert done.returncode == 0, done.stdout + done.stderr
        renewed = server.status()
        assert renewed["certificate"]["sha256"] != issued["certificate"]["sha256"], done.stdout + done.stderr
        assert renewed["server"]["pid"] == before["server"]["pid"]
        shown = server.verb("cert", "show", "--json")
        told = json.loads(shown.stdout)
        assert told["ok"] and told["shown_sha256"] == renewed["certificate"]["sha256"], told
        assert (state / "tls/installed.pem").stat().st_mode & 0o777 == 0o600
