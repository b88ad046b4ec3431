"""Kernels of other kernelspecs outlive the server too: another environment's Python, bash, a slow one, one with TCP."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.waiting import eventually

PYTHON = os.path.realpath(sys.prefix) + "/bin/python"
IPYKERNEL = ("-m", "ipykernel_launcher", "-f", "{connection_file}")
ONLY_TCP = """
import json, runpy, sys
if json.load(open(sys.argv[-1]))["transport"] != "tcp":
    sys.exit("this kernel can only do tcp")
sys.argv[0] = "ipykernel"
runpy.run_module("ipykernel_launcher", run_name="__main__")
"""
SLOW = "import time; time.sleep(3)\n" + ONLY_TCP.replace('!= "tcp"', '== ""')


@dataclass(frozen=True, slots=True)
class Code:
    """Of a language: to keep, to show, to wait."""

    keep: str = "x = 41"
    show: str = "print(x + 1)"
    wait: str = "import time; time.sleep(60)"


BASH = Code("x=41", "echo $((x + 1))", "sleep 60")


def another_environment(place):
    """A Python of its own that finds ipykernel in ours."""
    where = place.state / "venv"
    subprocess.run([PYTHON, "-I", "-m", "venv", "--without-pip", str(where)], check=True, timeout=60)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(where)}))
    (site / "ours.pth").write_text(sysconfig.get_path("purelib"))
    return [f"{where}/bin/python", *IPYKERNEL], {}, Code()


def bash(_place):
    pytest.importorskip("bash_kernel", reason="pip install bash_kernel")
    if shutil.which("bash") is None:
        pytest.skip("bash is missing")
    return [PYTHON, "-m", "bash_kernel", "-f", "{connection_file}"], {}, BASH


def slow(place):
    (place.state / "slow.py").write_text(SLOW)
    return [PYTHON, str(place.state / "slow.py"), "-f", "{connection_file}"], {}, Code()


def only_tcp(place):
    (place.state / "tcp.py").write_text(ONLY_TCP)
    return [PYTHON, str(place.state / "tcp.py"), "-f", "{connection_file}"], {"transport": "tcp"}, Code()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [another_environment, bash, slow, only_tcp])
def test_it_outlives_the_server_and_does_what_any_kernel_does(place, notebook, kind):
    argv, metadata, code = kind(place)
    spec = place.state / "home/.local/share/jupyter/kernels/other/kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": argv, "display_name": "other", "metadata": {"jupyterd": metadata}}))
    first = place.serve()
    session, kernel = first.new_session("other")
    if kind is slow:  # killed while its kernel starts
        first.end(signal.SIGKILL)
        first = place.serve()
        eventually(lambda: first.state_of(kernel) == "idle")
    assert notebook(kernel).run(code.keep) == ""
    pid = place.pid(kernel)
    first.end(signal.SIGKILL)
    second = place.serve()
    (model,) = second.get("/api/sessions")
    assert (model["id"], model["kernel"]["id"], model["kernel"]["name"]) == (session, kernel, "other")
    book = notebook(kernel)
    assert book.run(code.show) == "42"
    eventually(lambda: second.state_of(kernel) == "idle")
    book.start(code.wait)
    eventually(lambda: second.state_of(kernel) == "busy")
    assert second.ask("POST", f"/api/kernels/{kernel}/interrupt")[0] == 204
    eventually(lambda: second.state_of(kernel) == "idle")
    assert place.pid(kernel) == pid
    assert second.ask("POST", f"/api/kernels/{kernel}/restart")[0] == 200
    assert place.pid(kernel) != pid
    assert notebook(kernel).run(code.show) != "42"
    assert second.ask("DELETE", f"/api/sessions/{session}")[0] == 204
    assert not list(place.records.glob("*.json"))


def put_spec(place, name, argv):
    spec = place.state / f"home/.local/share/jupyter/kernels/{name}/kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": argv, "display_name": name, "language": "python"}))


def told(place):
    return [(each["name"], each["cause"]) for each in json.loads((place.records / "ended").read_text())]


def test_one_that_ends_at_its_start_says_why_and_is_not_started_again(place):
    """At once, before the page has its answer; and late, when it seems to come up."""
    words = "import sys; sys.exit('Traceback\\nNo module named torch')"
    put_spec(place, "at-once", [PYTHON, "-c", words, "{connection_file}"])
    put_spec(place, "late", [PYTHON, "-c", f"import time; time.sleep(4); {words}", "{connection_file}"])
    server = place.serve()
    body = {"path": "a.ipynb", "name": "a.ipynb", "type": "notebook", "kernel": {"name": "at-once"}}
    status, answer = server.ask("POST", "/api/sessions", body)
    cause = "it ended by itself with exit code 1, at its start: No module named torch"
    assert status >= 500
    assert answer["message"] == f"kernel at-once: {cause}"
    assert server.get("/api/kernels") == server.get("/api/sessions") == []
    assert told(place) == [("at-once", cause)]
    _, late = server.new_session("late")
    eventually(lambda: server.get("/api/kernels") == [], "it is dead", 30)
    assert told(place) == [("at-once", cause), ("late", cause)]
    eventually(lambda: {each.name for each in place.records.iterdir()} == {"server.lock", "ended"}, "nothing is left")
    log = place.log()
    assert f"kernel at-once: {cause}" in log
    assert f"Kernel {late} (late) ended: {cause}" in log
    assert "restarting kernel" not in log


def test_one_that_can_no_longer_be_started_is_gone_after_a_restart(place):
    """Somebody has removed what it needs meanwhile."""
    flag = place.state / "broken"
    script = (
        f'[ ! -e "{flag}" ] || {{ echo No module named torch >&2; exit 3; }}; exec "$0" -m ipykernel_launcher -f "$1"'
    )
    put_spec(place, "brittle", ["/bin/sh", "-c", script, PYTHON, "{connection_file}"])
    server = place.serve()
    _, kernel = server.new_session("brittle")
    eventually(lambda: server.state_of(kernel) in {"idle", "starting"})
    flag.touch()
    status, _ = server.ask("POST", f"/api/kernels/{kernel}/restart")
    assert status >= 500
    assert told(place) == [("brittle", "it ended by itself with exit code 3, at its start: No module named torch")]
    assert server.get("/api/kernels") == []
    eventually(lambda: {each.name for each in place.records.iterdir()} == {"server.lock", "ended"}, "nothing is left")


@pytest.mark.parametrize("flaw", ["no such module", "ends at its start"])
def test_an_old_python3_of_the_users_own_that_cannot_start_gives_way_to_ours(place, notebook, flaw):
    if flaw == "no such module":
        put_spec(place, "python3", ["/usr/bin/python3", "-I", "-S", *IPYKERNEL])
        why = "/usr/bin/python3 has no module ipykernel_launcher"
    else:
        put_spec(place, "python3", [PYTHON, "-c", "import nowhere", "{connection_file}"])
        why = "No module named 'nowhere'"
    server = place.serve()
    _, kernel = server.new_session()
    assert notebook(kernel).run("print(6 * 7)") == "42"
    assert why in place.log()
    _, another = server.new_session(name="b.ipynb")
    assert notebook(another).run("print(6 * 7)") == "42"
    assert place.log().count("jupyterd's own is used in its place") == 1
