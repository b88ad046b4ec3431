"""./install on a machine with a real systemd, read back as the person who runs it would."""

from __future__ import annotations

import shlex

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
    service.machine.run(f"python3 -c {shlex.quote(_WHEEL)}")
    service.machine.run(f"{old}/bin/python -m pip install --quiet --find-links /srv/more made-up-contents")
    service.machine.run(f"echo '# newer' >>{SOURCE}/jupyterd/__init__.py")
    said = service.install(environ="PIP_FIND_LINKS='/srv/wheels /srv/more'")
    assert "you have installed these into the server's environment: made-up-contents==1.0" in said
    assert service.machine.run("/opt/jupyterd/current/bin/python -I -c 'import made_up; print(made_up.X)'") == "41\n"
    assert service.machine.run("readlink /opt/jupyterd/current").strip() != old
    assert service.machine.attempt(f"test -d {old}").returncode == 0
    assert service.wait_server(other_than=server)
    assert service.evaluate(kernel, "print(x + 1)") == "42"


def test_a_version_that_does_not_serve_is_taken_back(service: Service) -> None:
    machine, kernel = service.machine, service.start_kernel()
    service.evaluate(kernel, "x = 41")
    good, broken = machine.run("readlink /opt/jupyterd/current").strip(), "/opt/jupyterd/broken"
    machine.run(f"cp -al {good} {broken} && sed -i 's|{good}|{broken}|' {broken}/bin/jupyterd")
    machine.run(f"for i in {broken}/lib/python3*/site-packages/jupyterd/supervisor/__main__.py; do"
                " rm $i && echo 'raise SystemExit(3)' >$i; done")  # fmt: skip
    try:
        done = machine.attempt(f"{broken}/bin/jupyterd setup --installing --yes --account {ACCOUNT}", timeout_s=240)
        assert done.returncode == 1
        assert f"version broken does not serve (its messages are above): going back to {good[14:]} ..." in done.stderr
        assert f"version {good[14:]} serves again" in done.stderr
        assert machine.run("readlink /opt/jupyterd/current").strip() == good
        assert service.is_active() and service.http("/api") == 200
        assert service.evaluate(kernel, "print(x + 1)") == "42"
    finally:
        machine.run(f"ln -sfn {good} /opt/jupyterd/current; rm -rf {broken}")


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


_WHEEL = """
import os, zipfile
os.makedirs("/srv/more", exist_ok=True)
name = "made_up_contents-1.0"
with zipfile.ZipFile(f"/srv/more/{name}-py3-none-any.whl", "w") as wheel:
    wheel.writestr("made_up.py", "X = 41")
    wheel.writestr(f"{name}.dist-info/METADATA", "Metadata-Version: 2.1\\nName: made-up-contents\\nVersion: 1.0\\n")
    tag = "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    wheel.writestr(f"{name}.dist-info/WHEEL", tag)
    wheel.writestr(f"{name}.dist-info/RECORD", "")
"""
