"""The service is locked to the bone, and nothing that runs in a notebook notices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.waiting import eventually
from system.machine import ACCOUNT
from system.service import UNIT, Service

MOST = 1.6
DISK = "/srv/disk"
SUDO = "/etc/sudoers.d/test"


@contextmanager
def sudo_granted(service: Service) -> Iterator[None]:
    """The account may do everything with sudo, and has a directory on what could be another disk."""
    service.machine.write(SUDO, f"{ACCOUNT} ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)
    service.machine.run(f"mkdir -p {DISK}; chown {ACCOUNT} {DISK}")
    yield
    service.machine.run(f"rm -rf {SUDO} {DISK}")


@pytest.fixture
def with_sudo(service: Service) -> Iterator[Service]:
    with sudo_granted(service):
        yield service


def shell(command: str) -> str:
    return f"import subprocess; print(subprocess.run({command!r}, shell=True, capture_output=True, text=True).stdout)"


def test_its_exposure_is_small(service: Service) -> None:
    told = service.machine.run(f"systemd-analyze security --no-pager {UNIT}")
    score = float(told.rpartition(f"{UNIT}:")[2].split()[0])
    assert score <= MOST, told


def test_it_may_gain_nothing_and_write_only_where_it_must(service: Service) -> None:
    pid = service.pids()["server"]
    status = service.machine.run(f"cat /proc/{pid}/status")
    assert "NoNewPrivs:\t1" in status
    assert "CapBnd:\t0000000000000000" in status
    inside = f"nsenter --target {pid} --mount --setuid $(id -u {ACCOUNT}) --setgid $(id -g {ACCOUNT}) sh -c"
    assert service.machine.attempt(f"{inside} 'test -w /srv || test -w /etc'").returncode == 1
    for place in ("/var/lib/jupyterd", "/run/jupyterd", f"/home/{ACCOUNT}", f"/home/{ACCOUNT}/.local/share/Trash"):
        service.machine.run(f"{inside} 'test -w {place}'")


def test_its_memory_has_a_bound_that_no_notebook_meets(service: Service) -> None:
    kernel = service.start_kernel()
    pid = int(service.evaluate(kernel, "import os; print(os.getpid())"))
    most = int(service.machine.run(f"systemctl show --value -p MemoryMax {UNIT}"))
    total = int(service.machine.run("awk '/MemTotal/ {print $2}' /proc/meminfo")) * 1024
    assert 0.7 * total < most < 0.8 * total
    assert UNIT not in service.machine.run(f"cat /proc/{pid}/cgroup")
    server, notebook = (
        int(service.machine.run(f"cat /proc/{each}/oom_score_adj")) for each in (service.pids()["server"], pid)
    )
    assert server > notebook


def test_a_notebook_has_all_that_its_account_has(with_sudo: Service) -> None:
    kernel = with_sudo.start_kernel()
    assert with_sudo.evaluate(kernel, shell("sudo -n id -un")) == "root"
    assert with_sudo.evaluate(kernel, shell("grep NoNewPrivs /proc/self/status")).split()[-1] == "0"
    assert with_sudo.evaluate(kernel, f"print(open('{DISK}/x', 'w').write('yes'))") == "3"
    with_sudo.machine.run("touch /tmp/of-the-machine")
    assert with_sudo.evaluate(kernel, shell("ls /tmp/of-the-machine")) == "/tmp/of-the-machine"  # noqa: S108
    mapped = "import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC); print('jit')"
    assert with_sudo.evaluate(kernel, mapped) == "jit"


def test_the_browser_saves_a_notebook_and_deletes_it_into_the_waste_bin(service: Service) -> None:
    body = {"type": "file", "format": "text", "content": "x"}
    assert service.http("/api/contents/a.txt", method="PUT", body=body) == 201
    assert service.machine.run(f"stat -c %U /home/{ACCOUNT}/a.txt").strip() == ACCOUNT
    assert service.http("/api/contents/a.txt", method="DELETE") == 204
    eventually(lambda: "a.txt" in service.machine.run(f"ls /home/{ACCOUNT}/.local/share/Trash/files"), "it is there")


LINKS = {"r": "/", "e": "/etc/cron.d", "h": "/home", "v": "/var/lib", "d": DISK}
TRASH = f"/home/{ACCOUNT}/.local/share/Trash"


@pytest.fixture
def with_links(with_sudo: Service) -> Iterator[Service]:
    """Links that notebooks could make, right below the root directory."""
    machine = with_sudo.machine
    machine.run("; ".join(f"ln -s {target} ~/{name}" for name, target in LINKS.items()), account=ACCOUNT)
    yield with_sudo
    machine.run(f"rm -f {' '.join(f'/home/{ACCOUNT}/{name}' for name in LINKS)}; test ! -L {TRASH} || rm {TRASH}")
    machine.run("jupyterd setup --yes 2>&1", timeout_s=120)


def test_no_link_of_the_account_opens_the_machine_to_the_server(with_links: Service) -> None:
    machine = with_links.machine
    said = machine.run("jupyterd setup --yes 2>&1", timeout_s=120)
    assert f"the server may write to {DISK}: /home/{ACCOUNT}/d leads there" in said
    for name in ("r", "e", "h", "v"):
        assert f"{LINKS[name]} " in said
        assert f"so the server may not write there (/home/{ACCOUNT}/{name} leads there)" in said
    # And what a notebook replaces by a link after setup has looked at it.
    machine.run(f"rm -rf {TRASH} && ln -s /etc {TRASH}", account=ACCOUNT)
    machine.run(f"systemctl restart {UNIT}", timeout_s=120)
    inside = f"nsenter --target {with_links.pids()['server']} --mount sh -c"
    machine.run(f"{inside} 'touch {DISK}/x'")
    written = "for each in / /boot /etc /etc/cron.d /home /opt /root /usr /usr/local/bin /var /var/lib; do"
    assert machine.run(f"{inside} '{written} touch $each/x 2>/dev/null && echo $each; done; true'") == ""
    assert with_links.show("ProtectHome") == "read-only"
