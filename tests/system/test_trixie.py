"""The main roads once more on Debian 13: systemd 257, Python 3.13."""

from __future__ import annotations

from support.waiting import eventually
from system import test_lockdown, test_terminals
from system.service import UNIT, Service


def test_it_is_another_systemd(on_trixie: Service) -> None:
    assert on_trixie.machine.run("systemctl --version").startswith("systemd 257")


def test_kernels_outlive_every_process_of_the_service(on_trixie: Service) -> None:
    kernel = on_trixie.start_kernel()
    on_trixie.evaluate(kernel, "x = 40")
    for victim in ("server", "supervisor"):
        pids = on_trixie.pids()
        on_trixie.machine.run(f"kill -KILL {pids[victim]}")
        on_trixie.wait_server(other_than=pids["server"])
        on_trixie.evaluate(kernel, "x += 1")
    on_trixie.wait_active()
    on_trixie.machine.run(f"systemctl restart {UNIT}", timeout_s=120)
    assert on_trixie.evaluate(kernel, "print(x)") == "42"
    on_trixie.machine.run(f"systemctl stop {UNIT}", timeout_s=90)
    assert on_trixie.kernel_pids() == []


def test_reload_takes_the_good_and_refuses_the_bad(on_trixie: Service) -> None:
    on_trixie.settings("[server]\nport = 9555\n")
    on_trixie.machine.run(f"systemctl reload {UNIT}")
    eventually(lambda: on_trixie.http("/api", port=9555) == 200, "an answer on the new port")
    on_trixie.settings("[server]\nport = 99999\n")
    assert on_trixie.machine.attempt(f"systemctl reload {UNIT}").returncode != 0
    assert on_trixie.http("/api", port=9555) == 200


def test_the_units_hold_what_systemd_verifies(on_trixie: Service) -> None:
    done = on_trixie.machine.attempt(f"systemd-analyze verify {UNIT}")
    assert (done.returncode, done.stderr) == (0, "")


def test_it_is_as_locked_and_its_notebooks_and_terminals_are_as_free(on_trixie: Service) -> None:
    test_lockdown.test_its_exposure_is_small(on_trixie)
    test_lockdown.test_it_may_gain_nothing_and_write_only_where_it_must(on_trixie)
    with test_lockdown.sudo_granted(on_trixie):
        test_lockdown.test_a_notebook_has_all_that_its_account_has(on_trixie)
        test_terminals.test_a_shell_is_a_unit_of_its_own_with_the_rights_of_the_account(on_trixie)


def test_after_a_reboot_it_serves_again(on_trixie: Service) -> None:
    on_trixie.machine.reboot()
    on_trixie.wait_active(deadline_s=90)
    assert on_trixie.http("/api") == 200
