"""The user manager ends, and kernels, terminals and recorder with it: all of it is told at once, and comes back."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from support.waiting import eventually
from system.machine import ACCOUNT, SOURCE
from system.service import TOKEN, Service
from system.test_recorder import recorder

UNIT = f"user@$(id -u {ACCOUNT}).service"
WAYS = {
    "linger": (f"loginctl disable-linger {ACCOUNT}", "was stopped (lingering is off: it ends with the last login"),
    "stop": (f"systemctl stop {UNIT}", "was stopped"),
    "kill": (f"systemctl kill --signal=KILL --kill-whom=main {UNIT}", "was killed (SIGKILL)"),
}  # fmt: skip
"""In this order: logind stops a manager that it has started itself."""


@pytest.fixture
def lingering(service: Service) -> Iterator[Service]:
    """Afterwards logind has started the manager, as at boot."""
    yield service
    service.machine.run(f"systemctl stop {UNIT}; loginctl enable-linger {ACCOUNT}")


def items(service: Service) -> dict[str, dict[str, Any]]:
    return {each["code"]: each for each in service.status()["items"]}


def begin_cell(service: Service, kernel: str) -> str:
    """Runs a cell in a tab that watches it; the file with what it saw."""
    service.machine.write("/srv/token", TOKEN, mode=0o600)
    python, seen = "/opt/jupyterd/current/bin/python", "/srv/seen"
    watching = f"PYTHONPATH={SOURCE}/tests {python} {SOURCE}/tests/system/dying_cell.py {kernel} /srv/token"
    service.machine.run(f"({watching} >{seen} 2>{seen}.log &)")  # as root: a session of the account would keep it
    eventually(lambda: "began" in service.machine.run(f"cat {seen}"), "the cell runs", 60)
    return seen


def test_its_end_is_told_everywhere_and_all_comes_back_with_it(lingering: Service) -> None:
    service = lingering
    for way, (end, how) in WAYS.items():
        kernel = service.start_kernel()
        eventually(lambda: service.status()["kernels_busy"] == 0, "a kernel that runs no cell is not busy")
        seen = begin_cell(service, kernel)
        assert service.http("/api/terminals", method="POST") == 200
        since = service.now_usec()
        service.machine.run(end)
        item = eventually(lambda: items(service).get("user-manager"), f"the item after {way}", 40)
        cause = f"the user manager of {ACCOUNT} {how}"
        assert item["text"].startswith(cause)
        assert service.wait_text("0 kernels; problem: the user manager of alice")
        assert json.loads(service.request("/api/kernels")[1]) == []
        status = service.status()
        assert (status["kernels"], status["kernels_busy"], status["kernels_running"]) == (0, 0, [])
        assert status["kernels_ended"][-1]["cause"].startswith(cause)
        (raised,) = [each for each in service.events("health-raised", since) if each["HEALTH_CODE"] == "user-manager"]
        assert cause in raised["MESSAGE"]

        told = eventually(lambda at=seen: service.machine.run(f"tail -n 1 {at}").partition("{")[2], "the tab knows", 30)
        page = json.loads("{" + told)
        assert f"[jupyterd: the kernel ended here: {cause}" in page["text"]
        assert (page["reply"], page["states"]) == ("error", ["dead"])
        code, answer = service.request("/api/kernels", method="POST", body={"name": "python3"})
        assert code >= 500 and item["advice"] in answer

        service.machine.run(item["advice"].removeprefix("sudo "))
        eventually(lambda: not service.status()["items"], f"no item is left after {way}", 20)
        another = service.start_kernel()
        assert service.evaluate(another, "print(6 * 7)") == "42"
        eventually(lambda: recorder(service), "the recorder, in its unit", 20)
        assert service.http("/api/terminals", method="POST") == 200
        units = service.machine.run("systemctl --user list-units --no-legend 'jupyterd-*'", account=ACCOUNT)
        assert "jupyterd-terminal-" in units and f"jupyterd-kernel-{another}" in units
        assert service.http(f"/api/kernels/{another}", method="DELETE") == 204


def test_a_snapshot_that_somebody_removed_is_no_reason_to_say_not_running(service: Service) -> None:
    snapshot = "/run/jupyterd/status.json"
    for harm in (f"rm {snapshot}", f"echo garbage >{snapshot}"):
        told = service.machine.attempt(f"{harm}; jupyterd status; echo exit $?").stdout
        assert "not running" not in told and "exit 0" in told, told
    service.machine.run(f"systemctl kill --signal=STOP --kill-whom=main jupyterd.service; rm {snapshot}")
    told = service.machine.attempt("jupyterd status; echo exit $?").stdout
    service.machine.run("systemctl kill --signal=CONT --kill-whom=main jupyterd.service")
    assert "jupyterd.service is suspended" in told and "exit 1" in told, told


def test_a_start_that_failed_is_told_with_its_mistakes(service: Service) -> None:
    service.machine.run("systemctl stop jupyterd", timeout_s=90)
    service.settings("[server]\nport = 99999\nroot_dir = 7\n")
    service.machine.attempt("systemctl start jupyterd", timeout_s=90)
    told = service.machine.attempt("jupyterd status; echo exit $?").stdout
    assert "not running" in told and "exit 3" in told
    assert "The last start failed" in told and "99999" in told and "root_dir" in told
    assert "jupyterd.service has failed: exit code 78 (the settings are refused)" in told
    inside = shlex.quote("JUPYTERD_MODE=foreground jupyterd run --port 8890 >/dev/null 2>&1 & echo $! >pid")
    service.machine.run(f"sh -c {inside}", account=ACCOUNT)
    try:
        beside = eventually(
            lambda: (
                "serving" in (said := service.machine.attempt("jupyterd status --user", account=ACCOUNT).stdout)
                and service.machine.attempt("jupyterd status", account=ACCOUNT).stdout
                and said
            ),
            "a server in the foreground",
            60,
        )
        assert beside
        both = service.machine.attempt("JUPYTERD_MODE= jupyterd status", account=ACCOUNT).stdout
        assert "foreground" in both and "jupyterd.service has failed" in both and "99999" in both, both
    finally:
        service.machine.run(
            "kill $(cat pid); while kill -0 $(cat pid) 2>/dev/null; do sleep 0.1; done", account=ACCOUNT
        )
    service.settings("")
    service.machine.run("systemctl start jupyterd", timeout_s=90)
    assert "The last start failed" not in service.machine.attempt("jupyterd status").stdout
