"""A newcomer's first hour on a bare machine, in its order: ./run, sudo ./install with it still running, the settings of
the classic guide on port 80, a second account, and an uninstall that leaves that account's server alone.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterator

import pytest
from support.waiting import eventually
from system.client import log_in
from system.conftest import a_machine
from system.machine import ACCOUNT, SOURCE, Machine

PASSWORD = "correct horse battery"
HOME = f"/home/{ACCOUNT}"
CHECKOUT = f"{HOME}/jupyterd"
pytestmark = pytest.mark.timeout(900)
SLOW_S = 400.0
"""A hang guard for what installs Jupyter from wheels."""


@pytest.fixture(scope="module")
def bare() -> Iterator[Machine]:
    """A machine of its own, on which nothing is installed; the account has a clone."""
    with a_machine() as there:
        there.run(f"cp -r {SOURCE} {CHECKOUT} && chown -R {ACCOUNT}: {CHECKOUT}")
        there.run("useradd --create-home --shell /bin/bash carol; loginctl enable-linger carol")
        yield there


def answers(machine: Machine, port: int) -> bool:
    """Whether a Jupyter server answers on this port of the machine."""
    return "version" in machine.attempt(f"curl -sk --max-time 5 https://localhost:{port}/api").stdout


def test_run_then_install_takes_over(bare: Machine) -> None:
    bare.run(f"cd {CHECKOUT} && setsid ./run >run.log 2>&1 </dev/null &", account=ACCOUNT)

    def serves() -> bool:
        said = bare.run(f"cat {CHECKOUT}/run.log")
        if "failed after" in said:  # no need to wait for what will not come
            pytest.fail(said)
        return answers(bare, 8888)

    eventually(serves, "./run serves", SLOW_S, every_s=1)
    jupyterd = f"{CHECKOUT}/.venv/bin/jupyterd"
    bare.run(f"echo {shlex.quote(PASSWORD)} | {jupyterd} password --stdin", account=ACCOUNT)
    before = f"{HOME}/.local/state/jupyterd"

    refused = bare.attempt(f"{SOURCE}/install --yes --account {ACCOUNT}")
    assert refused.returncode == 2
    assert "The server of ./run (pid " in refused.stderr and "--end-run" in refused.stderr
    assert bare.attempt("test -e /opt/jupyterd").returncode != 0, "it is said before anything is made"
    assert answers(bare, 8888)

    said = bare.run(f"{SOURCE}/install --yes --end-run --account {ACCOUNT} 2>&1", timeout_s=SLOW_S)
    assert f"taken over from ./run: the password, the Python environment of new notebooks, {before}/python" in said
    assert bare.run("jupyterd env default").strip() == f"{before}/python"
    assert bare.attempt("test -e /var/lib/jupyterd/python").returncode != 0, "no other is made"
    assert "has ended" in said and "https://" in said.rstrip().splitlines()[-3], said
    assert bare.run("systemctl is-active jupyterd").strip() == "active"
    assert log_in(bare, PASSWORD) == 302
    again = bare.run("jupyterd setup --yes 2>&1", timeout_s=120)
    assert "Nothing to change. The server is at https://" in again


def test_the_classic_guide_on_port_80(bare: Machine) -> None:
    old = "sha1:8c1ab4bd1f6b:" + hashlib.sha1(f"{PASSWORD}8c1ab4bd1f6b".encode()).hexdigest()  # noqa: S324 - theirs
    make = "openssl req -x509 -nodes -days 365 -newkey rsa:2048 -keyout mykey.key -out mycert.pem -subj /O=Home"
    bare.run(f"mkdir -p ~/.jupyter && cd ~/.jupyter && {make}", account=ACCOUNT)
    config = {"certfile": f"{HOME}/.jupyter/mycert.pem", "keyfile": f"{HOME}/.jupyter/mykey.key", "ip": "*"}
    config |= {"port": 80, "password": old, "open_browser": False}
    lines = [f"c.NotebookApp.{name} = {value!r}" for name, value in config.items()]
    text = "\n".join(["c = get_config()", *lines, "c.MappingKernelManager.cull_idle_timeout = 7200", ""])
    bare.write(f"{HOME}/.jupyter/jupyter_notebook_config.py", text)
    said = bare.run("jupyterd setup --yes --import 2>&1", timeout_s=120)
    assert "[kernels] cull_idle_timeout_s = 7200" in said
    assert "Your certificate (" in said and "cert new" not in said
    assert answers(bare, 80)
    led = bare.run("curl -sk --location --output /dev/null --write-out '%{url_effective}' http://localhost/")
    assert led.startswith("https://localhost:80/"), led
    assert log_in(bare, PASSWORD, port=80) == 302
    checked = bare.attempt("jupyterd config check --system")
    assert checked.returncode == 0 and "names no host" in checked.stderr
    installed = bare.attempt(f"jupyterd cert install {HOME}/.jupyter/mycert.pem {HOME}/.jupyter/mykey.key")
    assert "names no host" in installed.stderr and "the settings name" in installed.stderr
    bare.run("jupyterd setup --yes --port 8888 --certificate authority 2>&1", timeout_s=120)
    shown = json.loads(bare.run("jupyterd cert show --json"))
    assert shown["served"]["source"] == "local", "another choice is served, whatever was named or installed"


def test_a_second_account_gets_the_next_free_port_and_outlives_the_uninstall(bare: Machine) -> None:
    eventually(lambda: bare.run("systemctl is-active user@$(id -u carol)", check=False).strip() == "active")
    said = bare.run("jupyterd setup --yes 2>&1", account="carol", timeout_s=SLOW_S)
    assert "port 8888 is in use by another program, so this server gets port 8889" in said
    assert "https://localhost:8889/login#token=" in said.rstrip().splitlines()[-1]
    assert answers(bare, 8888) and answers(bare, 8889)

    removed = bare.run(f"{SOURCE}/install --uninstall 2>&1", timeout_s=120)
    assert "servers of other accounts run it: carol" in removed
    assert not answers(bare, 8888) and answers(bare, 8889)
    pid = bare.run("systemctl --user show -P MainPID jupyterd", account="carol").strip()
    bare.run(f"kill -KILL {pid}")
    eventually(lambda: answers(bare, 8889), "carol's server is back, with the program that stayed")
    bare.run("systemctl --user disable --now jupyterd", account="carol", timeout_s=120)
    removed = bare.run(f"{SOURCE}/install --uninstall 2>&1", timeout_s=120)
    assert "the program and the service are removed" in removed
    assert bare.attempt("test -e /opt/jupyterd -o -e /usr/local/bin/jupyterd").returncode != 0


_LOOKED_AT = "/etc /usr/local /usr/lib/systemd /opt /var/lib /home"
_OF_SYSTEMD = ("timers", "random-seed", "catalog", "coredump")


def _file_system(machine: Machine) -> set[str]:
    """Every file there with its kind, owner and mode, but for caches and what systemd keeps for itself."""
    leave_out = " -o ".join(["-name .cache", *(f"-path /var/lib/systemd/{each}" for each in _OF_SYSTEMD)])
    look = f"find {_LOOKED_AT} -xdev \\( {leave_out} \\) -prune -o -printf '%y %u %m %p\\n'"
    return set(machine.run(look, timeout_s=SLOW_S).splitlines())


def test_install_and_purge_leave_the_file_system_as_it_was(bare: Machine) -> None:
    bare.run("rm -rf /etc/jupyterd /var/lib/jupyterd /run/jupyterd; loginctl disable-linger alice")
    bare.run(f"rm -rf {HOME}/.jupyter {HOME}/.local/share/jupyter {HOME}/.local/share/Trash; touch {HOME}/kept.ipynb")
    before = _file_system(bare)
    bare.run(f"{SOURCE}/install --yes --account {ACCOUNT} 2>&1", timeout_s=SLOW_S)
    assert answers(bare, 8888)
    assert "without a terminal needs --yes" in bare.attempt("jupyterd uninstall --purge").stderr
    assert answers(bare, 8888)
    said = bare.run("jupyterd uninstall --purge --yes 2>&1", timeout_s=180)
    assert "the program and the service are removed" in said and "loginctl disable-linger" in said
    after = _file_system(bare)
    assert (sorted(after - before), sorted(before - after)) == ([], []), said
