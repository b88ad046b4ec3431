"""Certificates of the service: root acts as its account, other accounts may not, and systemd hears of the reload."""

from __future__ import annotations

import json
from typing import Any

import pytest
from system.machine import ACCOUNT
from system.service import Service

pytestmark = pytest.mark.system
TLS = "/var/lib/jupyterd/tls"
MAKE = (
    "cd /root && umask 077 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90"
    " -keyout {0}.key -out {0}.crt -subj /CN=gpu.example.org -addext subjectAltName=DNS:gpu.example.org,DNS:localhost"
    " 2>/dev/null"
)


def shown(service: Service) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(service.machine.attempt("jupyterd cert show --json").stdout)
    return document


def test_root_installs_what_only_root_can_read(service: Service) -> None:
    machine = service.machine
    before = service.pids()
    machine.run(MAKE.format("first"))
    since = service.now_usec()
    said = machine.run("jupyterd cert install /root/first.crt /root/first.key 2>&1", timeout_s=90)
    assert "served now" in said
    assert service.pids()["server"] == before["server"]
    assert shown(service)["served"]["source"] == "installed"
    assert machine.run(f"stat -c '%U %a' {TLS}/installed.pem").split() == [ACCOUNT, "600"]
    assert [each for each in service.events("certificate", since) if "gpu.example.org" in each["MESSAGE"]]
    service.wait_active()

    machine.run(MAKE.format("second"))
    digest = machine.run("openssl x509 -in /root/second.crt -outform der | sha256sum").split()[0]
    machine.run(
        f"cat /root/second.key /root/second.crt > {TLS}/fresh && chmod 600 {TLS}/fresh && chown {ACCOUNT}: {TLS}/fresh"
        f" && mv {TLS}/fresh {TLS}/installed.pem"
    )
    machine.run(
        "for i in $(seq 30); do openssl s_client -connect localhost:8888 </dev/null 2>/dev/null"
        f" | openssl x509 -outform der 2>/dev/null | sha256sum | grep -q {digest} && exit 0; sleep 1; done; exit 1",
        timeout_s=60,
    )
    assert service.pids()["server"] == before["server"]
    machine.run("jupyterd cert remove", timeout_s=90)
    assert shown(service)["served"]["source"] == "self-signed"


def test_an_authority_that_the_machine_itself_trusts(service: Service) -> None:
    machine = service.machine
    said = machine.run("jupyterd cert new 2>&1", timeout_s=90)
    assert "served now" in said.lower()
    assert machine.run(f"stat -c '%U %a' {TLS}/authority.pem").split() == [ACCOUNT, "600"]
    machine.run("jupyterd cert show --authority > /root/ca.crt")
    code = machine.run("curl -s -o /dev/null -w '%{http_code}' --cacert /root/ca.crt https://localhost:8888/api")
    assert code == "200"
    machine.run(f"rm {TLS}/authority.pem {TLS}/local.pem; systemctl reload jupyterd")
    assert shown(service)["authority"] is None


def test_another_account_can_neither_look_nor_install(service: Service) -> None:
    machine = service.machine
    machine.run("getent passwd mallory || useradd --create-home mallory")
    before = shown(service)["shown_sha256"]
    for what in ("show --system", "new --system", "remove --system"):
        done = machine.attempt(f"setpriv --reuid=mallory --regid=mallory --clear-groups jupyterd cert {what}")
        assert done.returncode == 1, done.stdout
        assert "sudo" in done.stderr, done.stderr
    assert shown(service)["shown_sha256"] == before
    seen = machine.attempt(f"setpriv --reuid=mallory --regid=mallory --clear-groups cat {TLS}/served.pem")
    assert "BEGIN" not in seen.stdout
