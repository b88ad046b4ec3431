"""The recorder in a real user manager: there with the first kernel, back after a kill, gone with the last kernel."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from support.waiting import eventually
from system.machine import ACCOUNT, SOURCE
from system.service import TOKEN, UNIT, Service
from system.test_health import Watch


def recorder(service: Service) -> int:
    """Its pid; 0 where none runs."""
    said = service.machine.run(
        "systemctl --user show 'jupyterd-recorder-*' --property=MainPID --value", account=ACCOUNT
    )
    return int(said.strip() or 0)


def spooled(service: Service, kernel: str) -> str:
    """The files of the kernel's spool and how long they are."""
    # An old file may go between the shell's look and stat's.
    return service.machine.attempt(f"stat -c '%n %s' /var/lib/jupyterd/spool/{kernel}/*.log").stdout


def test_it_comes_with_the_kernels_outlives_the_service_and_goes_with_them(service: Service) -> None:
    kernel = service.start_kernel()
    first = eventually(lambda: recorder(service), "the recorder", 10)
    where = service.machine.run(f"cat /proc/{first}/cgroup")
    assert "jupyterd.slice/jupyterd-recorder-" in where
    assert "/jupyterd.service" not in where
    service.machine.run(f"kill -KILL {first}")
    second = eventually(lambda: recorder(service) not in {0, first} and recorder(service), "another recorder", 5)
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
    manager = service.machine.run(
        f"journalctl --boot --output cat --no-pager _SYSTEMD_UNIT=user@$(id -u {ACCOUNT}).service"
    )
    assert "Started jupyterd-recorder-" in manager
    assert "new connection bus" not in manager, "looking whether it runs leaves no line in its log"


STATE = "/var/lib/jupyterd"


@pytest.fixture
def on_a_small_disk(service: Service) -> Iterator[Service]:
    """The state is on a file system of its own, with a few MiB left."""
    machine = service.machine
    machine.run(f"systemctl stop {UNIT}", timeout_s=90)
    machine.run(
        f"mkdir /srv/small; mount -t tmpfs -o size=$(( $(du -sm {STATE} | cut -f1) + 24 ))m small /srv/small;"
        f" cp -a {STATE}/. /srv/small; chmod --reference={STATE} /srv/small; chown --reference={STATE} /srv/small;"
        f" mount --move /srv/small {STATE} || {{ mount --bind /srv/small {STATE} && umount /srv/small; }};"
        f" systemctl start {UNIT}",
        timeout_s=120,
    )
    yield service
    machine.run(f"systemctl stop {UNIT}; umount --lazy {STATE}; rmdir /srv/small", timeout_s=90)


def test_what_it_cannot_keep_is_told_with_the_notebook_until_it_is_over(on_a_small_disk: Service) -> None:
    service, watch = on_a_small_disk, Watch(on_a_small_disk)
    asked = {"path": "small.ipynb", "name": "small.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
    code, answer = service.request("/api/sessions", method="POST", body=asked)
    assert code == 201, answer
    kernel, other = json.loads(answer)["kernel"]["id"], service.start_kernel()
    eventually(lambda: recorder(service), "the recorder", 20)
    for _ in range(3):
        before = recorder(service)
        service.machine.run(f"kill -KILL {before}")
        eventually(lambda pid=before: recorder(service) not in {0, pid}, "another recorder", 20)
        seen = spooled(service, kernel)
        service.evaluate(kernel, "print('it is there')")
        eventually(lambda known=seen: spooled(service, kernel) != known, "which records", 20)
    watch.raised("recorder-ends")

    service.machine.run(f"cat /dev/zero >{STATE}/somebodys", check=False)
    service.evaluate(kernel, "print('x' * 100_000)")
    watch.raised("output-not-kept")
    assert told(service) == {"the output of small.ipynb is not kept for disconnected pages: the disk is full"}
    shown = " ".join(service.machine.run("jupyterd status", check=False).split())
    assert "small.ipynb is not kept for disconnected pages: the disk is full" in shown
    ended = service.machine.run(f"jupyterd kernels stop {other}", timeout_s=90)
    assert "ended 1 of 1 kernel" in ended
    eventually(lambda: service.kernel_ids() == [kernel], "the server forgets it, although the disk is full", 20)
    service.machine.run(f"rm {STATE}/somebodys")
    watch.cleared("output-not-kept")  # although the kernel is silent

    since, other = Watch(service), service.start_kernel()
    before = recorder(service)
    service.machine.run(f"chmod 0 {STATE}/spool/{kernel}; kill -KILL {before}")
    eventually(lambda: recorder(service) not in {0, before}, "another recorder", 20)
    service.evaluate(kernel, "print('to whom?')")
    since.raised("output-not-kept")
    (text,) = told(service)
    assert text.startswith("the output of small.ipynb is not kept for disconnected pages: Permission denied")
    seen = spooled(service, other)
    service.evaluate(other, "print('and the others are recorded')")
    eventually(lambda: spooled(service, other) != seen, "the other kernel's output")
    service.machine.run(f"chmod 700 {STATE}/spool/{kernel}")
    since.cleared("output-not-kept")
    seen = spooled(service, kernel)
    service.evaluate(kernel, "print('again')")
    eventually(lambda: spooled(service, kernel) != seen, "its output is recorded again")
    watch.cleared("recorder-ends", within_s=90)
    assert service.machine.attempt("jupyterd status").returncode == 0


def told(service: Service) -> set[str]:
    """What the items about output that is not kept say."""
    return {each["text"] for each in service.status()["items"] if each["code"] == "output-not-kept"}


@pytest.mark.slow
def test_twenty_random_kills_of_any_process_lose_no_number(service: Service) -> None:
    kernel, stop = service.start_kernel(), "/home/alice/enough"
    script, found = f"{SOURCE}/tests/edge/kernels/counting.py", "/home/alice/counted.json"
    python = "/opt/jupyterd/current/bin/python"
    token = "/srv/token"  # in a command line it would be in the journal: who speaks to it is recorded with all of that
    service.machine.write(token, TOKEN, mode=0o640, group=ACCOUNT)
    service.machine.run(
        f"(PYTHONPATH={SOURCE}/tests nohup {python} {script} {kernel} {stop} {token} >{found} 2>{found}.log"
        f"; echo $? >{found}.code)"
        " </dev/null >/dev/null 2>&1 &",
        account=ACCOUNT,
    )

    def ended() -> str:
        """The exit status; "" while the cell runs."""
        return service.machine.attempt(f"cat {found}.code").stdout.strip()

    dice, killed = random.Random(11), []
    time.sleep(3)
    for _ in range(20):
        name = dice.choice(["server", "supervisor", "recorder"])
        pids = service.pids() | {"recorder": recorder(service)}
        service.machine.run(f"kill -KILL {pids[name]}")
        killed.append(f"{name} {time.monotonic():.1f}")
        # One at a time: what is said while recorder and server are both dead, no one can know.
        if name == "recorder":
            eventually(lambda pid=pids[name]: recorder(service) not in {0, pid}, "another recorder")
            before = spooled(service, kernel)
            eventually(lambda known=before: spooled(service, kernel) != known, "it listens")
        else:
            service.wait_server(other_than=pids["server"])
        time.sleep(dice.uniform(0.7, 1.5))

    service.machine.run(f"touch {stop}", account=ACCOUNT)
    code = eventually(ended, "the end of the cell", 120)
    log = service.machine.run(f"cat {found}.log")
    assert code == "0", f"{', '.join(killed)}\n{log}"
    got = json.loads(service.machine.run(f"cat {found}"))
    once = list(dict.fromkeys(got["numbers"]))
    gaps = [(before, after) for before, after in pairwise(once) if after != before + 1]
    twice = len(got["numbers"]) - len(once)
    print(f"{', '.join(killed)}: {twice} of {len(once)} came twice; missing {gaps}")  # noqa: T201 - a measurement
    assert once == list(range(int(service.evaluate(kernel, "print(n)")) + 1)), "missing, or out of order"
    assert got["reply"] == "ok"
