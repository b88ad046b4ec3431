"""Server extensions in the service: what they start ends with their server, and what they are told of kernels is so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.waiting import eventually
from system.machine import ACCOUNT
from system.service import UNIT, Service

HOME = f"/home/{ACCOUNT}/extensions"
EXTENSION = """
import signal, subprocess, sys
def _jupyter_server_extension_points():
    return [{"module": "made_up"}]
def _load_jupyter_server_extension(app):
    subprocess.Popen(["sleep", "4242"])
    subprocess.Popen(["sh", "-c", "setsid sleep 4243 & exec sleep 4244"])
    subprocess.Popen(["sh", "-c", "trap '' TERM; while :; do sleep 4245; done"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # as jupyter-server-proxy's simpervisor does
"""
CONFIGURATION = f"""
import sys
sys.path.insert(0, {HOME!r})
c.ServerApp.jpserver_extensions = {{"made_up": True}}
"""
PROGRAMS = {f"sleep {number}" for number in range(4242, 4246)}


@pytest.fixture
def extended(service: Service) -> Iterator[Service]:
    """The service with an extension that starts programs of its own."""
    machine = service.machine
    machine.run(f"mkdir -p {HOME}", account=ACCOUNT)
    machine.write(f"{HOME}/made_up.py", EXTENSION)
    machine.write(f"{HOME}/jupyter_server_config.py", CONFIGURATION)
    service.settings(f'[server]\njupyter_config_dir = "{HOME}"\n')
    machine.run(f"systemctl restart {UNIT}", timeout_s=120)
    yield service
    service.settings("")
    machine.run(f"rm -rf {HOME}")


def programs(service: Service) -> list[str]:
    """The programs of the extension that run now, as their command lines."""
    return sorted(service.machine.run("pgrep -fax 'sleep 424[0-9]' | cut -d ' ' -f 2-", check=False).splitlines())


def test_what_an_extension_has_started_ends_with_its_server_and_kernels_stay(extended: Service) -> None:
    kernel = extended.start_kernel()
    extended.evaluate(kernel, "import subprocess; mine = subprocess.Popen(['sleep', '4999'])")
    server, since = extended.pids()["server"], extended.now_usec()
    for _ in range(3):
        extended.machine.run(f"kill -KILL {server}")
        server = extended.wait_server(other_than=server)
    eventually(lambda: programs(extended) == sorted(PROGRAMS), "one of each, of the server that serves")
    told = [str(each["MESSAGE"]) for each in extended.events("leftovers", since)]
    assert len(told) == 3 and all("sleep (pid " in each for each in told), told
    assert extended.evaluate(kernel, "print(mine.poll())") == "None"
    # Its handler of SIGTERM is not in force: a change of the server still waits for the answers in progress.
    extended.settings(f'[server]\njupyter_config_dir = "{HOME}"\nhidden_files = true\n')
    extended.machine.run(f"systemctl reload {UNIT}", timeout_s=90)
    extended.wait_server(other_than=server)
    eventually(lambda: programs(extended) == sorted(PROGRAMS), "one of each after a reload")
    assert not [each for each in extended.events("server-exited", since) if "exited with" in each["MESSAGE"]]
    assert extended.evaluate(kernel, "print(mine.poll())") == "None"
