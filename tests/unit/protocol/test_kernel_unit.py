"""Whose unit a process is in: only the account's own user manager runs kernels."""

from __future__ import annotations

import pytest

from jupyterd.protocol.kernel_unit import KernelUnit, kernel_unit, unit_name

MANAGER = "/user.slice/user-1000.slice/user@1000.service"
UNIT = f"{MANAGER}/jupyterd.slice/jupyterd-kernel-k-1.service"


def test_a_kernels_name_is_found_again() -> None:
    found = kernel_unit(f"0::{MANAGER}/jupyterd.slice/{unit_name('k-1')}\n", 1000)
    assert found == KernelUnit("k-1", UNIT, unified=True)


@pytest.mark.parametrize(
    ("cgroup", "found"),
    [
        (f"0::{UNIT}/worker/jupyterd-kernel-other.service\n", KernelUnit("k-1", UNIT, unified=True)),
        (f"12:cpu:/\n1:name=systemd:{UNIT}\n", KernelUnit("k-1", UNIT, unified=False)),
        (f"0::/lxc/box{UNIT}\n", KernelUnit("k-1", f"/lxc/box{UNIT}", unified=True)),
        (f"0::{MANAGER}/app.slice/jupyterd-recorder-1.service\n", None),
        (f"0::{UNIT.replace('1000', '1001')}\n", None),
        (f"0::{UNIT.replace('user-1000', 'user-1001')}\n", None),
        ("0::/system.slice/jupyterd-kernel-k-1.service\n", None),
        (f"0::/user.slice/user-1001.slice/user@1001.service{UNIT}\n", None),
        (f"0::/user.slice/user-1001.slice/user@1001.service/app.slice{UNIT}\n", None),
        (f"0::/system.slice/delegated.service{UNIT}\n", None),
        (f"0::{MANAGER}jupyterd-kernel-k-1.service\n", None),
        ("", None),
        ("nonsense\n", None),
    ],
)
def test_only_units_of_the_own_user_manager_are_kernels(cgroup: str, found: KernelUnit | None) -> None:
    assert kernel_unit(cgroup, 1000) == found
