"""`jupyterd doctor` on a machine with a real systemd: each verdict is made wrong, and its advice is typed."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from support.waiting import eventually
from system.machine import ACCOUNT
from system.service import Service

UNIT = f"user@$(id -u {ACCOUNT}).service"
DROP_IN = "/etc/systemd/system/jupyterd.service.d/test-doctor.conf"
Found = dict[str, list[dict[str, list[str]]]]


@pytest.fixture
def restored(service: Service) -> Iterator[Service]:
    """Afterwards logind has started the manager, as at boot, and the unit is as it was."""
    yield service
    service.machine.run(f"rm -f {DROP_IN}; systemctl daemon-reload; loginctl enable-linger {ACCOUNT}")


def doctor(service: Service, account: str = "root", more: str = "") -> dict[str, list[dict[str, object]]]:
    done = service.machine.attempt(f"jupyterd doctor --json {more}", account=account, timeout_s=120)
    found: dict[str, list[dict[str, object]]] = {}
    for each in json.loads(done.stdout)["verdicts"]:
        found.setdefault(each["subject"], []).append(each)
    assert done.returncode == any(each["level"] == "wrong" for all_ in found.values() for each in all_), found
    return found


def only(found: dict[str, list[dict[str, object]]], subject: str, level: str) -> dict[str, object]:
    (one,) = found[subject]
    assert one["level"] == level, one
    return one


def typed(service: Service, verdict: dict[str, object]) -> None:
    advice = verdict["advice"]
    assert isinstance(advice, list)
    service.machine.run(advice[0].replace("sudo ", ""), timeout_s=120)


def test_what_is_wrong_is_told_and_its_advice_helps(restored: Service) -> None:
    service = restored
    found = doctor(service)
    for subject in ("server", "settings", "port", "addresses", "certificate", "limits", "mounts", "sandbox"):
        only(found, subject, "good")
    assert "jupyterd.service" in str(found["port"][0]["text"])
    only(found, "user manager", "good")

    service.machine.run(f"loginctl disable-linger {ACCOUNT}")
    eventually(
        lambda: service.machine.run(f"systemctl show -P ActiveState {UNIT}").strip() == "inactive", "it ends", 60
    )
    said = only(doctor(service), "user manager", "wrong")
    assert said["advice"] == [f"sudo loginctl enable-linger {ACCOUNT}"]
    typed(service, said)
    service.machine.run(f"systemctl stop {UNIT}")
    said = only(doctor(service), "user manager", "wrong")
    typed(service, said)
    only(doctor(service), "user manager", "good")

    profile = f"/home/{ACCOUNT}/.profile"
    service.machine.run(f"mv {profile} {profile}.kept; echo 'exit 3' >{profile}")
    assert "ended without an answer" in str(only(doctor(service), "environment", "wrong")["text"])
    service.machine.run(f"mv {profile}.kept {profile}")
    found = doctor(service, more="--deep")
    only(found, "environment", "good")
    assert str(only(found, "kernels", "good")["text"]).endswith("each was started once")

    service.machine.write(
        DROP_IN,
        "[Service]\nProtectSystem=no\nSystemCallFilter=\nProtectKernelTunables=no\n"
        "RestrictAddressFamilies=\nCapabilityBoundingSet=~\nProtectHome=no\nNoNewPrivileges=no\n",
    )
    assert "systemd still runs the old one" in str(only(doctor(service), "sandbox", "wrong")["text"])
    service.machine.run("systemctl daemon-reload")
    assert "systemctl cat jupyterd.service" in str(only(doctor(service), "sandbox", "notice")["advice"])

    service.machine.run("systemctl stop jupyterd", timeout_s=90)
    service.machine.run("systemd-run --unit=other --socket-property=ListenStream=127.0.0.1:8888 cat", both=True)
    said = only(doctor(service), "port", "wrong")
    assert "held by systemd for another unit (user root)" in str(said["text"])
    assert "systemctl list-sockets" in str(said["advice"])
    service.machine.run("systemctl stop other.socket")
    found = doctor(service)
    said = only(found, "server", "wrong")
    assert said["text"] == "is installed and does not run"
    only(found, "port", "good")
    only(found, "addresses", "unknown")
    service.settings("[server]\nprot = 1\n")
    service.machine.attempt("systemctl start jupyterd")
    service.settings("")
    texts = [str(each["text"]) for each in doctor(service)["server"]]
    assert any("server.prot" in text for text in texts), texts
    typed(service, said)
    service.wait_active()
    only(doctor(service), "server", "good")
    only(doctor(service, ACCOUNT), "server", "good")
