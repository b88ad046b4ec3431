"""The listening sockets outlive whoever serves on them: nobody is refused, on both families, below port 1024 too."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.waiting import eventually
from system.machine import ACCOUNT
from system.service import UNIT, Service

HAMMER = """
import http.client, itertools, json, signal, socket, ssl, sys, threading, time
port, over = int(sys.argv[1]), threading.Event()
hosts = ("127.0.0.1", "::1")
found = {host: {"connected": 0, "answered": 0, "failed": []} for host in hosts}
signal.signal(signal.SIGTERM, lambda *_: over.set())
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
def knock(host):
    while not over.wait(0.02):
        try:
            socket.create_connection((host, port), timeout=60).close()
            found[host]["connected"] += 1
        except OSError as error:
            found[host]["failed"].append(f"connect: {error!r}")
def ask(host):
    while not over.wait(0.01):
        asked = http.client.HTTPSConnection(host, port, timeout=60, context=context)
        try:
            asked.request("GET", "/api")
            status = asked.getresponse().status
            if status != 200:
                raise OSError(f"status {status}")
            found[host]["answered"] += 1
        except (OSError, http.client.HTTPException) as error:
            found[host]["failed"].append(f"request: {error!r}")
        finally:
            asked.close()
threads = [threading.Thread(target=each, args=(host,)) for each, host in itertools.product((knock, ask), hosts)]
for each in threads: each.start()
print("hammering", flush=True)
over.wait()
for each in threads: each.join()
json.dump(found, open("/srv/hammer.json", "w"))
"""


def assert_only_the_supervisor_may_bind(service: Service, server: int | None = None) -> None:
    """Server, spare, kernels, recorder and terminals have no capability; the supervisor has the one for low ports."""
    eventually(lambda: service.status()["spare"], "the spare")
    held = json.loads(service.machine.run(f"python3 -c {shlex.quote(_CAPABILITIES)}"))
    supervisor = str(service.pids()["supervisor"])
    assert int(held.pop(supervisor)["CapEff"], 16) == 1 << CAP_NET_BIND_SERVICE
    children = [pid for pid, sets in held.items() if sets["unit"] == UNIT]
    assert len(children) >= 2 and str(server or service.pids()["server"]) in children, held
    assert {sets["unit"].partition("-")[2].partition("-")[0] for sets in held.values()} >= {"kernel", "recorder"}
    for pid, sets in held.items():
        assert {name: int(sets[name], 16) for name in ("CapEff", "CapPrm", "CapAmb")} == dict.fromkeys(
            ("CapEff", "CapPrm", "CapAmb"), 0
        ), (pid, sets)


_CAPABILITIES = """
import json, os
found = {}
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        unit = open(f"/proc/{pid}/cgroup").read().strip().rpartition("/")[2]
        sets = dict(line.split(":\\t") for line in open(f"/proc/{pid}/status").read().splitlines() if "Cap" in line[:3])
    except OSError:
        continue
    if unit.startswith("jupyterd"):
        found[pid] = {**sets, "unit": unit}
print(json.dumps(found))
"""
CAP_NET_BIND_SERVICE = 10
"""capabilities(7), <linux/capability.h>."""


@pytest.fixture
def hammer(service: Service) -> Iterator[Callable[[int], Callable[[], dict[str, Any]]]]:
    """Begins it at a port; gives what ends it and tells what it found, by address."""

    def begin(port: int) -> Callable[[], dict[str, Any]]:
        machine = service.machine
        machine.write("/srv/hammer.py", HAMMER)
        machine.run(f"rm -f /srv/hammer.json; systemd-run --quiet --unit=hammer /usr/bin/python3 /srv/hammer.py {port}")
        eventually(lambda: "hammering" in machine.run("journalctl --unit hammer --output cat"), "the hammer")

        def end() -> dict[str, Any]:
            machine.run("systemctl stop hammer", timeout_s=100)
            found: dict[str, Any] = json.loads(machine.run("cat /srv/hammer.json"))
            return found

        return end

    yield begin
    service.machine.run("systemctl stop hammer", check=False, timeout_s=100)


def test_port_443_without_root_and_a_restart_refuses_nobody(
    service: Service, hammer: Callable[[int], Callable[[], dict[str, Any]]]
) -> None:
    machine = service.machine
    drop_in = "/etc/systemd/system/jupyterd.service.d/account.conf"
    before = machine.run(f"cat {drop_in}")
    service.settings("[server]\nport = 443\n")
    try:
        machine.run("/opt/jupyterd/current/bin/jupyterd setup --yes 2>&1", timeout_s=120)
        service.wait_active()
        server = service.pids()["server"]
        assert machine.run(f"ps -o user= -p {server}").strip() == ACCOUNT
        assert service.http("/api/contents", port=443) == 200
        service.start_kernel(port=443)
        assert service.http("/api/terminals", method="POST", body={}, port=443) == 200
        assert_only_the_supervisor_may_bind(service)
        machine.run(f"kill -KILL {server}")
        assert_only_the_supervisor_may_bind(service, server=service.wait_server(other_than=server))
        service.settings("[server]\nport = 444\n")
        machine.run(f"systemctl reload {UNIT}", timeout_s=90)
        eventually(lambda: service.http("/api", port=444) == 200, "an answer on the other port")
        assert_only_the_supervisor_may_bind(service)
        service.settings("[server]\nport = 443\n")
        machine.run(f"systemctl reload {UNIT}", timeout_s=90)
        eventually(lambda: service.http("/api", port=443) == 200, "an answer on the port again")
        end = hammer(443)
        for _ in range(2):
            machine.run(f"systemctl restart {UNIT}", timeout_s=120)
            service.wait_active()
        pids = service.pids()
        machine.run(f"kill -KILL {pids['supervisor']}")
        service.wait_server(other_than=pids["server"])
        found = end()
    finally:
        service.settings("")
        machine.write(drop_in, before)
    for host, each in found.items():
        # A kill may cut off a request that has begun, an ordered restart may not; neither refuses a connection.
        assert [what for what in each["failed"] if what.startswith("connect")] == [], host
        assert len(each["failed"]) <= 2, (host, each["failed"])
        assert each["connected"] > 50, (host, each)
        assert each["answered"] > 20, (host, each)


def test_a_restart_fails_no_request_and_two_at_once_are_told_apart(
    service: Service, hammer: Callable[[int], Callable[[], dict[str, Any]]]
) -> None:
    end = hammer(8888)
    service.machine.run(f"systemctl restart {UNIT}", timeout_s=120)
    service.wait_active()
    assert [each["failed"] for each in end().values()] == [[], []]
    second = (
        "exec 3< <(exec timeout 60 jupyterd run --port 8888 2>&1); grep -m1 'another jupyterd' <&3; kill $!; wait $!"
    )
    said = service.machine.run(f"bash -c {shlex.quote(second)}", account=ACCOUNT, check=False, timeout_s=90)
    assert "another jupyterd" in said, said
