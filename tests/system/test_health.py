"""Each kind of health item, made to happen on a real machine: told in `jupyterd status`, STATUS= and the journal, and
over again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from support.waiting import eventually
from system.machine import ACCOUNT
from system.service import UNIT, Service


def codes(service: Service) -> set[str]:
    return {each["code"] for each in service.status().get("items", ())}


class Watch:
    """What the service tells from now on."""

    def __init__(self, service: Service) -> None:
        self.service, self.since = service, service.now_usec()

    def raised(self, *wanted: str, within_s: float = 20.0) -> None:
        """In status, in the journal, and one of them in STATUS=."""
        told = eventually(
            lambda: codes(self.service).issuperset(wanted) and self.service.status(), str(wanted), within_s
        )
        for each in wanted:
            assert self._records("health-raised", each) or self._records("gpu-raised", each), each
        text = self.service.show("StatusText")
        assert "problem: " in text or text.startswith("Waiting: "), (text, told["items"])

    def cleared(self, *wanted: str, within_s: float = 30.0) -> None:
        """The opposite."""
        eventually(lambda: codes(self.service).isdisjoint(wanted), f"the end of {wanted}", within_s)
        for each in wanted:
            eventually(lambda code=each: self._records("health-cleared", code), f"{each} cleared in the journal", 5)

    def _records(self, event: str, code: str) -> list[str]:
        found = self.service.events(event, self.since)
        return [each["MESSAGE"] for each in found if each["HEALTH_CODE"] == code]


@pytest.fixture
def watch(service: Service) -> Watch:
    return Watch(service)


def reload(service: Service) -> None:
    service.machine.run(f"systemctl reload {UNIT}")


PAIRS = """
import sys, time
from pathlib import Path
from jupyterd.tls import make
for name, began, life in (("expired", -100, 50), ("early", 5, 100), ("ends", -75, 100), ("almost", -97, 100)):
    make.self_signed(Path(sys.argv[1], name + ".pem"), ["localhost"], [], time.time() + began * 86400, life)
"""


def make_pairs(service: Service) -> None:
    """In ~/pairs of the account."""
    service.machine.write("/srv/pairs.py", PAIRS)
    service.machine.run("/opt/jupyterd/current/bin/python -I /srv/pairs.py ~/pairs", account=ACCOUNT)


def test_certificates_and_settings(service: Service, watch: Watch) -> None:
    make_pairs(service)
    service.machine.run("mkdir -p ~/.notes", account=ACCOUNT)
    home = service.machine.run(f"getent passwd {ACCOUNT}").split(":")[5]
    server = service.pids()["server"]
    expected = {
        "expired": "certificate-expired", "early": "certificate-not-yet-valid", "ends": "certificate-ends",
        "almost": "certificate-almost-over",
    }  # fmt: skip
    for name, code in expected.items():
        service.settings(f'[tls]\ncertificate = "{home}/pairs/{name}.pem"\n')
        reload(service)
        watch.raised(code)
        assert codes(service) & set(expected.values()) == {code}
    assert service.pids()["server"] == server, "a certificate needs no restart"
    service.settings("[server]\nprot = 1\n")
    service.machine.run(f"systemctl kill --kill-whom=main --signal=HUP {UNIT}")  # not `reload`, which looks first
    watch.raised("settings-refused")
    service.settings(f'[server]\nroot_dir = "{home}/.notes"\n')
    reload(service)
    watch.raised("root-dir-hidden")
    service.settings("")
    reload(service)
    watch.cleared(*expected.values(), "settings-refused", "root-dir-hidden")
    assert service.machine.attempt("jupyterd status").returncode == 0


SOMEWHERE_ELSE = """
set -e; rm -f /run/other.pid
unshare --net sh -c 'echo $$ >/run/other.pid; ip link set lo up; ip address add 10.9.9.9/32 dev lo
  until ip address add 10.9.8.2/24 dev v1 2>/dev/null; do sleep 0.1; done
  ip link set v1 up; exec python3 -I /srv/another.py /home/alice/pairs/ends.pem' </dev/null >/run/other.log 2>&1 &
until [ -s /run/other.pid ] && [ "$(readlink /proc/$(cat /run/other.pid)/ns/net)" != "$(readlink /proc/1/ns/net)" ]; do
  sleep 0.1; done
ip link add v0 type veth peer name v1 netns "$(cat /run/other.pid)"
ip address add 10.9.8.1/24 dev v0; ip link set v0 up; echo 1 >/proc/sys/net/ipv4/conf/v0/accept_local
ip route del local 10.9.9.9 table local
ip route add 10.9.9.9/32 via 10.9.8.2
"""
ANOTHER = """
import http.server, ssl, sys
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(sys.argv[1])
server = http.server.ThreadingHTTPServer(("10.9.9.9", 8888), http.server.SimpleHTTPRequestHandler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


@pytest.fixture
def address(service: Service) -> Iterator[Callable[[str], None]]:
    """Changes an address of the machine, ip(8); it has none when the test is over."""
    yield lambda how: service.machine.run(f"ip {how}") and None
    service.machine.run("ip route flush 10.9.9.9 table local; ip address flush to 10.9.9.9/32", check=False)


def test_addresses(service: Service, watch: Watch, address: Callable[[str], None]) -> None:
    service.settings('[server]\nip = ["*", "192.0.2.77"]\n')
    reload(service)
    watch.raised("listen-absent")
    service.settings('[server]\nip = ["*"]\n')
    reload(service)
    watch.cleared("listen-absent")
    server = service.pids()["server"]

    def shown() -> dict[str, bool]:
        return {each["name"]: each["ok"] for each in service.status()["addresses"]}

    address("address add 10.9.9.9/32 dev lo")  # DHCP, Wi-Fi, a VPN; the sandbox has no netlink
    eventually(lambda: shown().get("10.9.9.9"), "an answer on the new address", 15)
    status = service.status()
    assert "https://10.9.9.9:8888/" in status["urls"] and "10.9.9.9" in status["certificate"]["names"]
    assert "10.9.9.9:8888" in service.show("StatusText")
    assert status["server"]["pid"] == server
    address("route replace prohibit 10.9.9.9 table local")  # the interface has it still, and nobody gets there
    service.machine.run(f"kill -KILL {server}")  # the next one asks every address at once, and not each minute
    watch.raised("address-unreachable", within_s=30)
    assert "10.9.9.9:8888" not in service.status()["urls"][0]
    address("route del prohibit 10.9.9.9 table local")
    address("address del 10.9.9.9/32 dev lo")
    eventually(lambda: "10.9.9.9" not in shown(), "the address to go", 15)
    watch.cleared("address-unreachable")


def test_another_server_before_ours_and_live_settings_that_the_server_cannot_read(
    service: Service, watch: Watch, address: Callable[[str], None]
) -> None:
    machine = service.machine
    service.settings('[server]\nip = ["*"]\n')
    reload(service)
    address("address add 10.9.9.9/32 dev lo")
    eventually(lambda: "10.9.9.9" in service.status()["certificate"]["names"], "a certificate for the new address", 15)
    machine.write("/srv/another.py", ANOTHER)
    make_pairs(service)
    try:
        machine.run(SOMEWHERE_ELSE)  # the interface has it still, and another machine answers there
        machine.run(f"kill -KILL {service.pids()['server']}")
        watch.raised("certificate-differs", within_s=40)
        assert "10.9.9.9" not in " ".join(service.status()["urls"])
        machine.run("ip route del 10.9.9.9/32 via 10.9.8.2; ip route add local 10.9.9.9 dev lo table local")
        watch.cleared("certificate-differs", within_s=90)
    finally:
        machine.run("ip link del v0; kill $(cat /run/other.pid)", check=False)
    address("address del 10.9.9.9/32 dev lo")

    live, server = "/var/lib/jupyterd/live.json", service.pids()["server"]
    name = f"told-{service.now_usec()}.example.org"  # a certificate keeps the names of an earlier run
    machine.run(f"kill -STOP {server}")
    service.settings(f'[server]\nnames = ["{name}"]\n')
    machine.run(f"systemctl kill --kill-whom=main --signal=HUP {UNIT}")  # not `reload`, which waits for the server
    eventually(lambda: name in machine.run(f"cat {live}"), "the planner has written it", 20)
    machine.run(f"echo '{{' >{live}; kill -CONT {server}")
    watch.raised("live-refused")
    assert any("live.json is damaged" in each["text"] for each in service.status()["items"])
    service.settings("")
    reload(service)
    watch.cleared("live-refused")
    assert service.pids()["server"] == server


def test_a_server_that_cannot_start_says_why_and_is_back_when_it_can(service: Service, watch: Watch) -> None:
    config = "~/own-jupyter/jupyter_server_config.py"
    service.machine.run(f"mkdir -p ~/own-jupyter; echo '# fine' >{config}", account=ACCOUNT)
    home = service.machine.run(f"getent passwd {ACCOUNT}").split(":")[5]
    service.settings(f'[server]\njupyter_config_dir = "{home}/own-jupyter"\n')
    reload(service)
    service.machine.run(f"echo 'raise RuntimeError(\"it is broken\")' >{config}", account=ACCOUNT)
    service.machine.run(f"kill -KILL {service.pids()['server']}")
    watch.raised("server-cannot-start", "server-down")
    assert any("it is broken" in each["text"] for each in service.status()["items"])
    service.machine.run(f"echo '# fine' >{config}", account=ACCOUNT)
    watch.cleared("server-cannot-start", "server-down", within_s=90)
    assert service.http("/api") == 200


def test_a_late_disk_is_waited_for_beyond_the_time_of_a_start(service: Service, watch: Watch) -> None:
    """Three minutes in the field; here the unit may take 5 s, and the disk comes after that."""
    machine = service.machine
    home = machine.run(f"getent passwd {ACCOUNT}").split(":")[5]
    machine.run(f"systemctl stop {UNIT}", timeout_s=90)
    machine.write(f"/etc/systemd/system/{UNIT}.d/test-late.conf", "[Service]\nTimeoutStartSec=5\n")
    service.settings(f'[server]\nroot_dir = "{home}/late"\n')
    machine.run(f"systemctl daemon-reload; systemctl start --no-block {UNIT}")
    try:
        service.wait_text("^Waiting: .*late does not exist")
        watch.raised("root-dir")
        begun = int(service.show("InactiveExitTimestampMonotonic"))
        eventually(lambda: uptime_usec(service) > begun + 8_000_000, "3 s more than the unit may take", 20)
        assert (service.show("ActiveState"), service.show("NRestarts")) == ("activating", "0")
        machine.run(f"mkdir {home}/late; chown {ACCOUNT} {home}/late")
        service.wait_active(30)
        watch.cleared("root-dir")
        assert service.show("NRestarts") == "0"
    finally:
        service.settings("")
        machine.run(f"rmdir {home}/late", check=False)


def uptime_usec(service: Service) -> int:
    return int(float(service.machine.run("cut -d' ' -f1 /proc/uptime")) * 1e6)


@pytest.mark.slow
def test_a_supervisor_that_makes_no_progress_is_replaced_and_its_successor_adopts_everything(service: Service) -> None:
    machine = service.machine
    machine.write(f"/etc/systemd/system/{UNIT}.d/test-watchdog.conf", "[Service]\nWatchdogSec=10\n")
    machine.run(f"systemctl daemon-reload; systemctl restart {UNIT}", timeout_s=120)
    kernel = service.start_kernel()
    service.evaluate(kernel, "x = 41")
    code, answer = service.request("/api/terminals", method="POST")
    assert code == 200, answer
    before, kernels, since = service.pids(), service.kernel_pids(), service.now_usec()
    machine.run(f"kill -STOP {before['supervisor']}")
    eventually(lambda: int(service.show("NRestarts")) > 0, "a restart by the watchdog", 40)
    service.wait_active()
    after = service.pids()
    assert set(after.values()).isdisjoint(before.values()), "supervisor and server are others"
    said = machine.run(f"journalctl --since @{since // 1_000_000} --unit {UNIT} --output cat --no-pager")
    assert "Watchdog timeout" in said
    assert service.kernel_pids() == kernels
    assert service.evaluate(kernel, "print(x + 1)") == "42"
    assert service.kernel_ids() == [kernel]
    terminals = json.loads(service.request("/api/terminals")[1])
    assert [each["name"] for each in terminals] == [json.loads(answer)["name"]]
