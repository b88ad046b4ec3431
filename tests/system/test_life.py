"""What systemd and the person who reads it see of the service's life: start, trouble, reload, stop, reboot."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from support.waiting import eventually
from system.machine import ACCOUNT
from system.service import UNIT, Service


def test_active_means_that_it_answers(service: Service) -> None:
    service.machine.run(f"systemctl stop {UNIT}", timeout_s=90)
    assert service.http("/api") == 0
    service.machine.run(f"systemctl start {UNIT}", timeout_s=120)
    assert service.http("/api") == 200
    assert service.http("/api/contents") == 200
    assert service.http("/api/contents", token="wrong") == 403


def test_the_status_line_is_a_sentence_with_the_address(service: Service) -> None:
    text = service.show("StatusText")
    assert "https://" in text, text
    assert ":8888" in text, text


@pytest.mark.parametrize("victim", ["server", "supervisor"])
def test_each_process_may_be_killed_outright(service: Service, victim: str) -> None:
    pids = service.pids()
    kernel = service.start_kernel()
    service.evaluate(kernel, "x = 41")
    service.machine.run(f"kill -KILL {pids[victim]}")
    service.wait_server(other_than=pids["server"])
    service.wait_active()
    assert service.http("/api") == 200
    assert service.evaluate(kernel, "print(x + 1)") == "42"
    code, answer = service.request("/api/kernels")
    assert code == 200
    assert [each["id"] for each in json.loads(answer)] == [kernel]


def test_a_restart_keeps_kernels_and_a_stop_ends_everything(service: Service) -> None:
    kernel = service.start_kernel()
    service.evaluate(kernel, "x = 41")
    service.machine.run(f"systemctl restart {UNIT}", timeout_s=120)
    assert service.evaluate(kernel, "print(x + 1)") == "42"
    service.machine.run(f"systemctl stop {UNIT}", timeout_s=90)
    assert service.show("ActiveState") == "inactive"
    assert service.kernel_pids() == []
    assert service.machine.run("pgrep -f 'supervisor/[_]_main__'; pgrep -f '[j]upyterd.server'", check=False) == ""
    assert service.machine.run("systemctl --user list-units 'jupyterd-*' --no-legend", account=ACCOUNT) == ""
    assert service.show("Result") == "success"


@pytest.mark.parametrize("how", ["KILL", "exit"])
def test_why_a_kernel_died_is_told_in_the_journal_and_in_status(service: Service, how: str) -> None:
    kernel = service.start_kernel()
    service.evaluate(kernel, "x = 41")
    (pid,) = service.kernel_pids()
    if how == "exit":
        service.machine.run(f"gdb -p {pid} -batch -ex 'call (void)_exit(3)'", check=False)
    else:
        service.machine.run(f"kill -{how} {pid}")
    words = {"KILL": "killed (SIGKILL)", "exit": "it ended by itself with exit code 3"}[how]

    def told() -> str:
        ended = service.status().get("kernels_ended") or [{}]
        return str(ended[-1].get("cause")) if ended[-1].get("kernel") == kernel else ""

    assert eventually(told, "the cause in status", 20).startswith(words)
    assert words in service.machine.run("jupyterd status")
    assert service.journal(f"--grep=Kernel {kernel}.*died: {words.partition(' (')[0]}")
    eventually(lambda: service.kernel_pids() not in ([], [pid]), "another process", 20)


def test_a_good_reload_moves_the_port_and_keeps_kernels(service: Service) -> None:
    kernel = service.start_kernel()
    service.evaluate(kernel, "x = 41")
    service.settings("[server]\nport = 9555\n")
    service.machine.run(f"systemctl reload {UNIT}")
    eventually(lambda: service.http("/api", port=9555) == 200, "an answer on the new port")
    assert service.http("/api", port=8888) == 0
    service.wait_text(":9555")
    assert service.is_active()
    assert service.evaluate(kernel, "print(x + 1)") == "42"


def test_a_reload_changes_the_token_without_a_restart(service: Service) -> None:
    server = service.pids()["server"]
    service.settings('[login]\ntoken = "another-made-up-token-0123456789"\n', name="token")
    service.machine.run(f"systemctl reload {UNIT}")
    eventually(lambda: service.http("/api/contents", token="another-made-up-token-0123456789") == 200, "the new token")
    assert service.http("/api/contents") == 403
    assert service.pids()["server"] == server


def test_a_bad_reload_fails_and_the_old_settings_stay(service: Service) -> None:
    pids = service.pids()
    service.settings("[server]\nport = 99999\nprot = 1\n")
    done = service.machine.attempt(f"systemctl reload {UNIT}")
    assert done.returncode != 0
    assert service.is_active()
    assert service.http("/api") == 200
    assert service.pids() == pids
    told = service.machine.run(f"journalctl --unit {UNIT} --lines 20 --no-pager")
    assert "test.toml:2" in told
    assert "test.toml:3" in told


def test_settings_that_only_editing_cures_stop_it_for_good(service: Service) -> None:
    service.machine.run(f"systemctl stop {UNIT}", timeout_s=90)
    service.settings("[server]\nport = 99999\n")
    assert service.machine.attempt(f"systemctl start {UNIT}").returncode != 0
    assert service.show("ExecMainStatus") == "78"
    assert service.show("ActiveState") == "failed"
    assert service.show("NRestarts") == "0"
    service.settings("")
    service.machine.run(f"systemctl start {UNIT}", timeout_s=120)
    assert service.http("/api") == 200


SQUATTER = """
import socket, sys, time
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
there = socket.create_server((sys.argv[1], 8888), family=family, dualstack_ipv6=family == socket.AF_INET6)
time.sleep(600)
"""


@pytest.fixture
def squat(service: Service) -> Iterator[Callable[[str], None]]:
    """Stops the service and puts another listener in its place, which the test or its end removes."""

    def begin(address: str) -> None:
        service.machine.run(f"systemctl stop {UNIT}", timeout_s=90)
        service.machine.write("/srv/squatter.py", SQUATTER)
        service.machine.run(f"systemd-run --quiet --unit=squatter /usr/bin/python3 /srv/squatter.py {address}")
        eventually(lambda: ":8888" in service.machine.run("ss -ltn"), "the squatter listens")

    yield begin
    service.machine.run("systemctl stop squatter", check=False)


def test_a_busy_port_is_named_and_heals_by_itself(service: Service, squat: Callable[[str], None]) -> None:
    squat("::")
    service.machine.run(f"systemctl start --no-block {UNIT}")
    assert "in use" in service.wait_text("8888")
    assert service.show("ActiveState") == "activating"
    assert service.machine.attempt("jupyterd status").returncode == 1
    service.machine.run("systemctl stop squatter")
    service.wait_active(deadline_s=30)
    assert service.http("/api") == 200
    assert service.show("NRestarts") == "0"


def test_one_busy_address_of_two_is_named_and_heals_by_itself(service: Service, squat: Callable[[str], None]) -> None:
    squat("0.0.0.0")
    service.machine.run(f"systemctl start --no-block {UNIT}")
    assert "0.0.0.0:8888 is in use" in service.wait_text("in use")
    service.machine.run("systemctl stop squatter")
    eventually(lambda: "problem" not in service.show("StatusText") and service.is_active(), "the end of the problem")
    assert service.http("/api") == 200


@pytest.mark.slow
def test_a_hung_server_is_replaced(service: Service) -> None:
    pids = service.pids()
    service.machine.run(f"kill -STOP {pids['server']}")
    service.wait_server(other_than=pids["server"], deadline_s=40)
    assert service.http("/api") == 200
    assert service.pids()["supervisor"] == pids["supervisor"]
    assert service.events("server-hung")


def test_after_a_reboot_it_serves_again(service: Service) -> None:
    service.start_kernel()
    since = service.now_usec() // 1_000_000
    service.machine.reboot()
    service.wait_active(deadline_s=90)
    assert service.http("/api") == 200
    assert service.kernel_pids() == []
    ended = service.machine.run(f"journalctl --since @{since} --unit {UNIT} --no-pager --output cat")
    assert "stopped cleanly" in ended
    assert "Failed with result" not in ended, ended
