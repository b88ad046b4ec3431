"""The recorder in a real user manager: there with the first kernel, back after a kill, gone with the last kernel."""

from __future__ import annotations

import pytest
from system.machine import ACCOUNT, wait_until
from system.service import UNIT, Service

pytestmark = pytest.mark.system


def recorder(service: Service) -> int:
    """Its pid; 0 where none runs."""
    said = service.machine.run(
        "systemctl --user show 'jupyterd-recorder-*' --property=MainPID --value", account=ACCOUNT
    )
    return int(said.strip() or 0)


def test_it_comes_with_the_kernels_outlives_the_service_and_goes_with_them(service: Service) -> None:
    kernel = service.start_kernel()
    first = wait_until(lambda: recorder(service), "the recorder", 10)
    where = service.machine.run(f"cat /proc/{first}/cgroup")
    assert "jupyterd.slice/jupyterd-recorder-" in where
    assert "/jupyterd.service" not in where
    service.machine.run(f"kill -KILL {first}")
    second = wait_until(lambda: recorder(service) not in {0, first} and recorder(service), "another recorder", 5)
    service.evaluate(kernel, "print('said')")
    spooled = f"/var/lib/jupyterd/spool/{kernel}"
    assert service.machine.run(f"grep -c said {spooled}/*.log | head -n 1").strip() != "0"
    assert service.machine.run(f"stat -c %a%U {spooled}").strip() == f"700{ACCOUNT}"
    service.machine.run(f"systemctl restart {UNIT}", timeout_s=120)
    assert recorder(service) == second
    service.machine.run(f"systemctl stop {UNIT}", timeout_s=90)
    assert recorder(service) == 0
    assert service.machine.run("systemctl --user list-units 'jupyterd-*' --no-legend", account=ACCOUNT) == ""
    assert service.machine.run(f"ls -d {spooled}", check=False) == ""
