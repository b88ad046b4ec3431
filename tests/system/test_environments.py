"""Kernels and terminals of the service have what a login has at their start, and the notebooks' environment."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from support.waiting import eventually
from system.machine import ACCOUNT
from system.service import UNIT, Service
from system.test_terminals import new, typed

HOME, OWN = f"/home/{ACCOUNT}", "/var/lib/jupyterd/python"
FACTS = """
import json, os, resource, shutil
facts = {name: os.environ.get(name) for name in ("PROFILE", "ETC", "SYSTEMD", "MINE", "VIRTUAL_ENV")}
print(json.dumps(facts | {"tool": shutil.which("tool"), "pip": shutil.which("pip"),
                          "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0]}))
"""


@pytest.fixture
def with_files(service: Service) -> Iterator[Service]:
    """Start-up files of a login with VALUE in each, and a tool that only they put on PATH."""
    machine = service.machine
    machine.run(
        f"cp -a {HOME}/.profile /root/profile 2>/dev/null; cp -a /etc/environment /root/environment; "
        f"mkdir -p {HOME}/tools {HOME}/.config/environment.d; install -m 755 /bin/true {HOME}/tools/tool; "
        f"chown -R {ACCOUNT}: {HOME}/tools {HOME}/.config"
    )
    _write(service, "1", "ulimit -Sn 4096")
    service.settings('[kernels.env]\nMINE = "mine:${PROFILE}"\n')
    machine.run(f"systemctl restart {UNIT}", timeout_s=120)
    yield service
    machine.run(
        f"rm -rf {HOME}/.profile {HOME}/tools {HOME}/.config/environment.d; mv /root/environment /etc/environment;"
        f" test ! -e /root/profile || mv /root/profile {HOME}/.profile"
    )


def _write(service: Service, value: str, more: str) -> None:
    machine = service.machine
    machine.write(f"{HOME}/.profile", f"export PROFILE={value} PATH=$HOME/tools:$PATH\n{more}\n", mode=0o644)
    machine.write("/etc/environment", f"ETC={value}\n", mode=0o644)
    machine.write(f"{HOME}/.config/environment.d/50-mine.conf", f"SYSTEMD=${{HOME}}/{value}\n", mode=0o644)


def _facts(service: Service, kernel: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(service.evaluate(kernel, FACTS))
    return found


def _expected(value: str, files: int) -> dict[str, object]:
    return {
        "PROFILE": value, "ETC": value, "SYSTEMD": f"{HOME}/{value}", "MINE": f"mine:{value}", "VIRTUAL_ENV": OWN,
        "tool": f"{HOME}/tools/tool", "pip": f"{OWN}/bin/pip", "files": files,
    }  # fmt: skip


def test_it_is_that_of_a_login_at_each_start(with_files: Service) -> None:
    service = with_files
    kernel = service.start_kernel()
    assert _facts(service, kernel) == _expected("1", 4096)
    assert f"pip={OWN}/bin/pip.1.4096.end" in typed(
        service, new(service), "echo pip=$(command -v pip).$PROFILE.$(ulimit -Sn).e''nd\r", ".end"
    )
    shown = service.machine.run("jupyterd env show")  # root asks; the account's shells answer
    for source, line in (
        ("the login shell /bin/bash", "PROFILE=1"), ("environment.d", "ETC=1"), ("[kernels.env]", "MINE=mine:1"),
        (f"the environment {OWN}", f"VIRTUAL_ENV={OWN}"),
    ):  # fmt: skip
        (section,) = [part for part in shown.split("\n\n") if line in part.splitlines()]
        assert section.startswith(f"# {source}"), shown
    assert "open files 4096" in shown

    _write(service, "2", "ulimit -Sn 2048")
    assert service.http(f"/api/kernels/{kernel}/restart", method="POST") == 200
    assert _facts(service, kernel) == _expected("2", 2048)

    _write(service, "3", "sleep 987654 & wait")
    assert service.http(f"/api/kernels/{kernel}/restart", method="POST") == 200
    missing = "the login shell /bin/bash did not end within 8 s and was killed, so what it sets is missing"
    eventually(
        lambda: any(missing in str(each.get("MESSAGE")) for each in service.journal(f"--unit={UNIT}")), "it is told"
    )
    found = _facts(service, kernel)
    assert (found["PROFILE"], found["ETC"], found["pip"]) == (None, "3", f"{OWN}/bin/pip")
    done = service.machine.attempt("jupyterd env show --json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["missing"] == [f"{missing}; to see it: jupyterd env show"]
    assert service.machine.run("pgrep -f '[s]leep 987654'", check=False) == ""
