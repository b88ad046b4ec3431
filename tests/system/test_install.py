"""./install on a machine with a real systemd, read back as the person who runs it would."""

from __future__ import annotations

from system.machine import ACCOUNT, SOURCE, Machine
from system.service import SETTINGS, UNIT, Service


def test_without_an_account_to_serve_it_says_what_to_type(machine: Machine) -> None:
    done = machine.attempt(f"env -u SUDO_USER {SOURCE}/install --yes --account carol")
    assert done.returncode == 2
    assert "adduser carol" in done.stderr


def test_without_a_terminal_it_asks_nobody_and_changes_nothing(machine: Machine) -> None:
    done = machine.attempt(f"{SOURCE}/install --account {ACCOUNT}")
    assert done.returncode == 2
    assert "--yes" in done.stderr


def test_an_ordinary_account_is_told_to_type_sudo(machine: Machine) -> None:
    done = machine.attempt(f"{SOURCE}/install --yes", account=ACCOUNT)
    assert done.returncode == 1
    assert "sudo ./install" in done.stderr


def test_it_serves_at_once_and_at_boot_and_says_how_to_log_in(service: Service) -> None:
    assert service.show("ActiveState") == "active"
    assert service.show("UnitFileState") == "enabled"
    assert service.show("User") == ACCOUNT
    assert service.machine.run(f"loginctl show-user {ACCOUNT} --property=Linger --value").strip() == "yes"
    said = service.machine.run("jupyterd token", both=True)
    assert "https://" in said
    assert "ssh -N -L" in said


def test_settings_belong_to_root_and_the_account_may_read_them(service: Service) -> None:
    assert service.machine.run(f"stat -c '%U %G %a' {SETTINGS}").split() == ["root", ACCOUNT, "640"]
    service.machine.run(f"cat {SETTINGS}", account=ACCOUNT)
    assert service.machine.run("stat -c '%U %a' /var/lib/jupyterd").split() == [ACCOUNT, "700"]


def test_the_units_hold_what_systemd_verifies(service: Service) -> None:
    done = service.machine.attempt(f"systemd-analyze verify {UNIT}")
    assert (done.returncode, done.stderr) == (0, "")


def test_again_keeps_settings_kernels_and_the_running_server(service: Service) -> None:
    kernel = service.start_kernel()
    before, server = service.machine.run(f"cat {SETTINGS}; echo '# mine' >>{SETTINGS}"), service.pids()["server"]
    service.install()
    assert service.machine.run(f"cat {SETTINGS}") == before + "# mine\n"
    assert service.pids()["server"] == server
    assert service.evaluate(kernel, "print(6 * 7)") == "42"


def test_an_upgrade_goes_in_beside_the_old_version_and_kernels_stay(service: Service) -> None:
    kernel = service.start_kernel()
    service.evaluate(kernel, "x = 41")
    old, server = service.machine.run("readlink /opt/jupyterd/current").strip(), service.pids()["server"]
    service.machine.run(f"echo '# newer' >>{SOURCE}/jupyterd/__init__.py")
    service.install()
    assert service.machine.run("readlink /opt/jupyterd/current").strip() != old
    assert service.machine.attempt(f"test -d {old}").returncode == 0
    assert service.wait_server(other_than=server)
    assert service.evaluate(kernel, "print(x + 1)") == "42"


def test_another_program_of_the_same_name_is_left_alone(machine: Machine, service: Service) -> None:
    machine.run("rm /usr/local/bin/jupyterd && echo mine >/usr/local/bin/jupyterd")
    try:
        done = machine.attempt(f"{SOURCE}/install --yes --account {ACCOUNT}")
        assert done.returncode == 1
        assert "/usr/local/bin/jupyterd" in done.stderr
        assert machine.run("cat /usr/local/bin/jupyterd") == "mine\n"
    finally:
        machine.run("ln -sfn /opt/jupyterd/current/bin/jupyterd /usr/local/bin/jupyterd")
    assert service.is_active()
