"""Certificates of the service: root acts as its account, other accounts may not, and systemd hears of the reload."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from system.machine import ACCOUNT
from system.service import Service

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
    assert "now serves it" in said
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
    assert f"now serves {TLS}/local.pem" in said
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


@pytest.fixture
def acme(service: Service) -> Iterator[str]:
    """Pebble on the machine's loopback, whose certificates are due for renewal at once; its directory's URL."""
    for program in ("pebble", "pebble-challtestsrv", "certbot"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing: sudo apt install pebble certbot")
    machine = service.machine
    issue = (
        "mkdir -p /root/acme && cd /root/acme && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        " -days 30 -keyout key.pem -out cert.pem -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>&1"
    )
    machine.run(issue)
    config = {
        "listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000", "httpPort": 80,
        "tlsPort": 443, "certificate": "/root/acme/cert.pem", "privateKey": "/root/acme/key.pem",
        "ocspResponderURL": "", "externalAccountBindingRequired": False, "certificateValidityPeriod": 10 * 86400,
    }  # fmt: skip
    machine.write("/root/acme/pebble.json", json.dumps({"pebble": config}))
    names = "-defaultIPv4 127.0.0.1 -defaultIPv6 '' -dns01 127.0.0.1:8053 -http01 '' -https01 '' -tlsalpn01 ''"
    run = "systemd-run --quiet --collect"
    machine.run(
        f"{run} --unit=test-names pebble-challtestsrv {names} -management 127.0.0.1:8055;"
        f" {run} --unit=test-pebble --setenv=PEBBLE_VA_NOSLEEP=1 --setenv=PEBBLE_WFE_NONCEREJECT=0"
        " pebble -config /root/acme/pebble.json -dnsserver 127.0.0.1:8053;"
        " for i in $(seq 100); do curl -sk https://localhost:14000/dir >/dev/null && exit; sleep 0.2; done; exit 1"
    )
    # So that what the timer starts trusts this pebble, as it would the real one.
    trust = "[Service]\nEnvironment=REQUESTS_CA_BUNDLE=/root/acme/cert.pem\n"
    machine.write("/etc/systemd/system/certbot.service.d/test.conf", trust)
    machine.run("systemctl daemon-reload")
    yield "https://localhost:14000/dir"
    machine.run(
        "systemctl stop test-web test-pebble test-names certbot.timer; rm -rf /root/acme /etc/letsencrypt/*/jupyterd*"
        " /etc/systemd/system/certbot.service.d; systemctl daemon-reload; jupyterd cert remove || true",
        timeout_s=120,
    )


def test_one_of_an_acme_server_is_renewed_by_its_timer_and_extended_behind_a_web_server(
    service: Service, acme: str
) -> None:
    machine, server = service.machine, service.pids()["server"]
    said = machine.run(
        "REQUESTS_CA_BUNDLE=/root/acme/cert.pem jupyterd setup --yes --domain gpu.test --email a@gpu.test 2>&1"
        f" --agree-tos --acme-server {acme}",
        timeout_s=180,
    )
    assert "now serves it" in said and "certbot.timer" in said
    issued = shown(service)
    assert (issued["served"]["source"], issued["served"]["names"]) == ("installed", ["gpu.test"])
    assert machine.run("systemctl is-enabled certbot.timer; systemctl is-active certbot.timer").split() == [
        "enabled", "active",
    ]  # fmt: skip
    machine.run("systemctl start certbot.service", timeout_s=120)  # what the timer does twice a day
    renewed = shown(service)
    assert renewed["shown_sha256"] == renewed["served"]["sha256"] != issued["shown_sha256"]
    assert service.pids()["server"] == server
    assert machine.run(f"stat -c '%U %a' {TLS}/installed.pem").split() == [ACCOUNT, "600"]

    web = "mkdir -p /srv/www && systemd-run --quiet --collect --unit=test-web python3 -m http.server 80 -d /srv/www"
    machine.run(f"{web}; for i in $(seq 100); do curl -s localhost >/dev/null && exit; sleep 0.2; done; exit 1")
    machine.run(
        "REQUESTS_CA_BUNDLE=/root/acme/cert.pem jupyterd cert acme --system --domain gpu.test --domain www.gpu.test"
        f" --email a@gpu.test --agree-tos --server {acme} --webroot /srv/www 2>&1",
        timeout_s=180,
    )
    assert sorted(shown(service)["served"]["names"]) == ["gpu.test", "www.gpu.test"]
    assert service.pids()["server"] == server
